"""From the bytes of an A-ASSOCIATE-RQ to those of its answer.

Devices ask the same each time, so answers are remembered.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from dicomserver.session.negotiation import AcceptedContext, answer, contexts_of, peer_maximum_length
from dicomserver.session.policy import AcceptorPolicy
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import AssociateRJ, AssociateRQ

# Contexts are 128 at most: so what is remembered stays small, whatever peers send.
MOST_REMEMBERED = 64
LONGEST_REMEMBERED = 16384      # bytes of a request


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What came of a request. pdu: the answer's bytes; rejection: the answer where it is one.

    contexts, peer_maximum_length: of an accepted one. The contexts are shared between associations and never changed.
    The request itself is not kept: decoded, it may take many times its length.
    """

    calling_ae_title: str
    called_ae_title: str
    pdu: bytes
    rejection: AssociateRJ | None
    contexts: Mapping[int, AcceptedContext]
    peer_maximum_length: int
    # By SOP class, our Service-class-application-information (PS3.7 D.3.3.5), of those for which some was proposed.
    application_information: Mapping[str, bytes]
    operations: int         # that the requestor may have under way at once (PS3.7 D.3.3.3); 0: any number


class Negotiator:
    """Answers by one policy. Any thread: an answer that two threads work out at once is the same."""

    def __init__(self, policy: AcceptorPolicy) -> None:
        self.policy = policy
        self._remembered: OrderedDict[bytes, Negotiated] = OrderedDict()

    def negotiate(self, pdu: bytes) -> Negotiated:
        """pdu: a whole A-ASSOCIATE-RQ. Raises PduError where it is none."""
        known = self._remembered.get(pdu)
        if known is not None:
            return known
        request = decode_pdu(pdu)
        negotiated = self._answered(request)
        if negotiated.rejection is None and len(pdu) <= LONGEST_REMEMBERED and self._depends_on_it_alone(request):
            self._remembered[pdu] = negotiated
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return negotiated

    def _answered(self, request: AssociateRQ) -> Negotiated:
        reply = answer(request, self.policy)
        pdu, calling, called = encode_pdu(reply), request.calling_ae_title, request.called_ae_title
        if isinstance(reply, AssociateRJ):
            return Negotiated(calling, called, pdu, reply, {}, 0, {}, 1)
        return Negotiated(calling, called, pdu, None, contexts_of(request, reply),
                          peer_maximum_length(request.user_information),
                          {item.sop_class_uid: item.application_information
                           for item in reply.user_information.extended_negotiations},
                          (reply.user_information.asynchronous_operations_window or (1, 1))[0])

    def _depends_on_it_alone(self, request: AssociateRQ) -> bool:
        """Whoever checks identities may say something else the next time."""
        return request.user_information.user_identity is None or self.policy.check_user_identity is None
