"""From the bytes of an A-ASSOCIATE-RQ to those of its answer. Devices ask the same each time: answers are remembered."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from dicomserver.session.negotiation import AcceptedContext, answer, contexts_of, peer_maximum_length
from dicomserver.session.policy import AcceptorPolicy
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import AssociateAC, AssociateRJ, AssociateRQ

MOST_REMEMBERED = 64
LONGEST_REMEMBERED = 16384      # bytes of a request; so the memory is bounded whatever peers send


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What came of a request. pdu: the answer's bytes. contexts, peer_maximum_length: of an accepted one; the contexts
    are shared with other associations and never changed."""

    request: AssociateRQ
    reply: AssociateAC | AssociateRJ
    pdu: bytes
    contexts: Mapping[int, AcceptedContext]
    peer_maximum_length: int

    def granted(self, sop_class_uid: str) -> bytes:
        """Our Service-class-application-information about a SOP class (PS3.7 D.3.3.5); empty where none was asked for."""
        return next((item.application_information for item in self.reply.user_information.extended_negotiations
                     if item.sop_class_uid == sop_class_uid), b"")


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
        reply = answer(request, self.policy)
        if isinstance(reply, AssociateRJ):
            return Negotiated(request, reply, encode_pdu(reply), {}, 0)
        accepted = Negotiated(request, reply, encode_pdu(reply), contexts_of(request, reply),
                              peer_maximum_length(request.user_information))
        if len(pdu) <= LONGEST_REMEMBERED and self._depends_on_request_alone(request):
            self._remember(pdu, accepted)
        return accepted

    def _depends_on_request_alone(self, request: AssociateRQ) -> bool:
        return request.user_information.user_identity is None or self.policy.check_user_identity is None

    def _remember(self, pdu: bytes, accepted: Negotiated) -> None:
        self._remembered[pdu] = accepted
        if len(self._remembered) > MOST_REMEMBERED:
            try:
                self._remembered.popitem(last=False)
            except KeyError:
                pass    # another thread has emptied it just now
