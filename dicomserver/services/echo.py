"""Verification: C-ECHO (PS3.4 Annex A, PS3.7 9.1.5)."""
from __future__ import annotations

from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.standard.statuses import SOP_CLASS_NOT_SUPPORTED, SUCCESS
from dicomserver.standard.uids import VERIFICATION
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import response_to


def echo(acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet) -> int:
    """Answers a C-ECHO-RQ; -> the status."""
    status = SUCCESS if context.abstract_syntax == VERIFICATION else SOP_CLASS_NOT_SUPPORTED
    acceptor.respond(context, response_to(request, status))
    return status
