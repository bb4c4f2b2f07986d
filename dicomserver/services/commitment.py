"""Storage commitment, push model: the request, N-ACTION (PS3.4 J.3.2, PS3.7 10.1.4). The report follows later."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from dicomserver.archive.commitments import CommitmentRequest, Reference
from dicomserver.archive.errors import ArchiveError
from dicomserver.session.acceptor import AssociationAcceptor, OnResponse
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.standard import statuses
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.standard.uids import STORAGE_COMMITMENT_INSTANCE, STORAGE_COMMITMENT_PUSH_MODEL, is_valid_uid
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import response_to
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.identifier import IdentifierDecoder, IdentifierElement

REQUEST_STORAGE_COMMITMENT = 1      # Action Type ID
TRANSACTION_UID = 0x00081195
REFERENCED_SOP_SEQUENCE = 0x00081199
REFERENCED_SOP_CLASS_UID = 0x00081150
REFERENCED_SOP_INSTANCE_UID = 0x00081155
# In implicit VR nothing says that these are sequences; the second may be there, and means nothing to us.
_SEQUENCES = frozenset({REFERENCED_SOP_SEQUENCE, 0x00081111})

# The N-EVENT-REPORT-RQ and its event information, for a transfer syntax. Raises ArchiveError.
Report = Callable[[str], tuple[CommandSet, bytes]]


class CommitmentRefused(Exception):
    """The request fails: its status, and why in words."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status = status


class SameAssociation:
    """The association on which a request came: the report goes there, as long as it lasts."""

    def __init__(self, acceptor: AssociationAcceptor, context: AcceptedContext) -> None:
        self._errands = acceptor.errands
        self._context = context

    def deliver(self, report: Report, on_response: OnResponse) -> None:
        """From any thread: sends the report between two messages. on_response is called once, on the association's
        thread, or here where the association is over."""
        def errand(acceptor: AssociationAcceptor | None) -> None:
            try:
                message = report(self._context.transfer_syntax) if acceptor is not None else None
            except ArchiveError:
                message = None      # whoever tries again will say why
            if message is None:
                on_response(None)
            else:
                acceptor.request(self._context, *message, on_response)

        if not self._errands.ask(errand):
            on_response(None)


# Takes a request over: when this returns, a report will be made of it, whatever happens. Raises CommitmentRefused.
Accept = Callable[[CommitmentRequest, Sequence[Reference], SameAssociation], None]


class CommitmentService:
    """Answers N-ACTION-RQ on any number of associations at once, without a look at the instances."""

    def __init__(self, accept: Accept, log: logging.Logger) -> None:
        self._accept = accept
        self._log = log

    def act(self, acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet) -> int:
        """Reads the action information, hands it on, and answers; -> the status."""
        try:
            _check(context, request)
            transaction_uid, references = read_action(_received(acceptor, context, request))
            self._accept(CommitmentRequest(acceptor.calling_ae_title, transaction_uid, time.time(), len(references)),
                         references, SameAssociation(acceptor, context))
            status, comment = statuses.SUCCESS, None
        except CommitmentRefused as refused:
            status, comment = refused.status, str(refused)
            self._log.warning("N-ACTION of %s refused with %04XH: %s", acceptor.calling_ae_title, status, comment)
        acceptor.respond(context, response_to(request, status, action_type_id=request.action_type_id,
                                              error_comment=comment and comment[:64]))
        return status


def _check(context: AcceptedContext, request: CommandSet) -> None:
    """What can be said without the action information."""
    if not context.abstract_syntax == request.requested_sop_class_uid == STORAGE_COMMITMENT_PUSH_MODEL:
        raise CommitmentRefused(statuses.SOP_CLASS_NOT_SUPPORTED,
                                "Requested SOP Class UID is not that of a presentation context for it")
    if request.requested_sop_instance_uid != STORAGE_COMMITMENT_INSTANCE:
        raise CommitmentRefused(statuses.NO_SUCH_SOP_INSTANCE, "Requested SOP Instance UID is not the well-known one")
    if request.action_type_id != REQUEST_STORAGE_COMMITMENT:
        raise CommitmentRefused(statuses.NO_SUCH_ACTION, "Action Type ID is not 1")
    if not request.has_dataset:
        raise CommitmentRefused(statuses.INVALID_ARGUMENT_VALUE, "the request has no action information")


def _received(acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet) -> list[IdentifierElement]:
    data = acceptor.read_dataset()
    if data is None:
        raise CommitmentRefused(statuses.RESOURCE_LIMITATION, "the action information is longer than allowed")
    how = encoding(context.transfer_syntax)
    try:
        return IdentifierDecoder(how.explicit, how.big_endian, _SEQUENCES).decode(data)
    except DatasetError as error:
        raise CommitmentRefused(statuses.INVALID_ARGUMENT_VALUE, str(error)) from None


def read_action(elements: Iterable[IdentifierElement]) -> tuple[str, list[Reference]]:
    """The Transaction UID and what is to be committed, each once. Raises CommitmentRefused."""
    by_tag = {element.tag: element for element in elements}
    transaction_uid = _uid(by_tag.get(TRANSACTION_UID))
    if transaction_uid is None:
        raise CommitmentRefused(statuses.INVALID_ARGUMENT_VALUE, "Transaction UID is missing or no UID")
    sequence = by_tag.get(REFERENCED_SOP_SEQUENCE)
    if sequence is None or not sequence.items:
        raise CommitmentRefused(statuses.INVALID_ARGUMENT_VALUE, "Referenced SOP Sequence is missing or empty")
    return transaction_uid, list(dict.fromkeys(map(_reference, sequence.items)))


def _reference(item: Iterable[IdentifierElement]) -> Reference:
    by_tag = {element.tag: element for element in item}
    sop_class = _uid(by_tag.get(REFERENCED_SOP_CLASS_UID))
    sop_instance = _uid(by_tag.get(REFERENCED_SOP_INSTANCE_UID))
    if sop_class is None or sop_instance is None:
        raise CommitmentRefused(statuses.INVALID_ARGUMENT_VALUE, "a referenced SOP Class or Instance UID is no UID")
    return Reference(sop_class, sop_instance)


def _uid(element: IdentifierElement | None) -> str | None:
    if element is None:
        return None
    text = element.value.rstrip(b"\0 ").decode("latin-1")
    return text if is_valid_uid(text) else None
