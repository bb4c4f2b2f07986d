"""What the codecs raise for bytes that are not what the standard says: these and nothing else."""
from __future__ import annotations

# PS3.8 Table 9-26: the reason of an A-ABORT whose source is the service provider.
REASON_NOT_SPECIFIED = 0
REASON_UNRECOGNIZED_PDU = 1
REASON_UNEXPECTED_PDU = 2
REASON_UNRECOGNIZED_PARAMETER = 4
REASON_UNEXPECTED_PARAMETER = 5
REASON_INVALID_PARAMETER = 6


class WireError(ValueError):
    """Bytes that cannot be read, or values that cannot be written.

    `problem` says what is wrong, `field` is the standard's name of what was being read, `offset` the byte at which
    it stands, counted from the begin of the buffer; `abort_reason` is what an A-ABORT about it says. The text holds
    no values.
    """

    def __init__(self, problem: str, field: str = "", offset: int = 0,
                 abort_reason: int = REASON_INVALID_PARAMETER) -> None:
        super().__init__(f"{field}: {problem} (byte {offset})" if field else problem)
        self.problem = problem
        self.field = field
        self.offset = offset
        self.abort_reason = abort_reason


class PduError(WireError):
    """An upper layer PDU (PS3.8 9.3)."""


class CommandError(WireError):
    """A DIMSE command set (PS3.7 6.3)."""


class DatasetError(WireError):
    """A dataset (PS3.5 7)."""


class MetaError(WireError):
    """The begin of a Part 10 file (PS3.10 7.1)."""
