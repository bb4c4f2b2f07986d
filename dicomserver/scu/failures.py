"""Why an association that we asked for came to nothing, in words for whoever asked."""

from __future__ import annotations

from dicomserver.session.association import AssociationEnded, Ending
from dicomserver.session.negotiation import NegotiationError
from dicomserver.session.transport import FileUnusable
from dicomserver.wire.errors import REASON_UNRECOGNIZED_PDU, CommandError, PduError

_REASONS = {
    # PS3.8 Table 9-21: source, reason
    (1, 1): "no reason given",
    (1, 2): "it does not support the DICOM application context",
    (1, 3): "it does not know our AE title",
    (1, 7): "it does not go by the AE title that we called it",
    (2, 1): "no reason given",
    (2, 2): "it does not support our version of the protocol",
    (3, 1): "it is congested at the moment",
    (3, 2): "it serves as many associations as it may at the moment",
}
_TOO_LONG = "sent a PDU that is longer than allowed"
_MIXED_UP = "mixed up the parts of a message"
_WRONG = {
    # dicomserver.wire.stream's words: ours
    "PDU length": _TOO_LONG,
    "P-DATA-TF PDU length": _TOO_LONG,
    "command set length": "sent a message that is too long",
    "longer than we take": "sent a message that is too long",
    "presentation context id": _MIXED_UP,
    "presentation context id changed within a message": _MIXED_UP,
    "message control header: dataset before command": _MIXED_UP,
    "message control header: command and dataset interleaved": _MIXED_UP,
    "dataset that nobody reads": _MIXED_UP,
}


class AssociationFailed(Exception):
    """`str()` goes on where "the server …" begins: one line, without anything that the peer sent as text.

    is_transient: a later try may do better.
    """

    is_transient = False


class Unreachable(AssociationFailed):
    """No connection came about."""

    is_transient = True


class UnknownHost(Unreachable):
    """Nobody knows an address for its name."""

    is_transient = False


class Refused(AssociationFailed):
    """A-ASSOCIATE-RJ."""

    def __init__(self, result: int, source: int, reason: int):
        self.is_transient = result == 2
        self.source = source
        self.reason = reason
        why = _REASONS.get((source, reason), f"source {source}, reason {reason}")
        super().__init__(f"refused the association: {why}")


class NotNegotiated(AssociationFailed):
    """The association stands, but without a presentation context for what we want."""


class Aborted(AssociationFailed):
    """A-ABORT from the peer, or its connection ended."""

    is_transient = True


class Silent(AssociationFailed):
    """A deadline passed."""

    is_transient = True


class Unreadable(AssociationFailed):
    """A file of ours could not be read to its end while it was sent; we have aborted."""

    def __init__(self, cause: FileUnusable):
        super().__init__(f"did not get all of the file: {cause}")
        self.cause = cause


class Violated(AssociationFailed):
    """The peer sent what the protocol does not allow; we have aborted."""


def failure_of(ended: AssociationEnded, timeout: float) -> AssociationFailed:
    """The end of an association that should have gone on. timeout: its deadlines, in seconds."""
    cause = ended.cause
    match ended.ending:
        case Ending.REJECTED:
            return Refused(cause.result, cause.source, cause.reason)
        case Ending.ABORTED:
            return Aborted(f"aborted the association (source {cause.source}, reason {cause.reason})")
        case Ending.RELEASED:
            return Aborted("ended the association instead of answering")
        case Ending.CLOSED:
            return Aborted("closed the connection")
        case Ending.SILENT:
            return Silent(f"did not answer within {timeout:g} s")
        case Ending.STALLED:
            return Silent(f"did not take what we sent within {timeout:g} s")
        case Ending.OUT_OF_TURN:
            return Violated("sent a PDU out of turn")
        case Ending.VIOLATED:
            return Violated(_broken_rule(cause))
        case Ending.GIVEN_UP if isinstance(cause, FileUnusable):
            return Unreadable(cause)
        case Ending.STOPPED:
            return AssociationFailed("was stopped from here before it was done")
        case _:
            return AssociationFailed("did not get to answer: the association was given up here")


def _broken_rule(cause: object) -> str:
    if isinstance(cause, NegotiationError):
        return "accepted the association with a maximum length that has no room for data"
    if isinstance(cause, CommandError):
        return "sent a malformed command"
    if isinstance(cause, PduError):
        if cause.abort_reason == REASON_UNRECOGNIZED_PDU:
            return "does not speak DICOM"
        return _WRONG.get(cause.problem, "sent a malformed PDU")
    return "broke a rule of the protocol"
