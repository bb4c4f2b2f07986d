"""Why an association that we asked for came to nothing, in words for whoever asked."""

from __future__ import annotations

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


class AssociationFailed(Exception):
    """`str()` goes on where "the server …" begins: one line, without anything that the peer sent as text."""


class Unreachable(AssociationFailed):
    """No connection came about."""


class Refused(AssociationFailed):
    """A-ASSOCIATE-RJ; `is_transient`: a later try may do better."""

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


class Silent(AssociationFailed):
    """A deadline passed."""


class Violated(AssociationFailed):
    """The peer sent what the protocol does not allow; we have aborted."""
