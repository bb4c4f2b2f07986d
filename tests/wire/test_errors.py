"""The errors are one family, and say where without saying what."""
from __future__ import annotations

import pytest
from pynetdicom.pdu import A_ABORT_RQ

from dicomserver.wire import errors
from dicomserver.wire.errors import CommandError, DatasetError, MetaError, PduError, WireError


@pytest.mark.parametrize("kind", [PduError, CommandError, DatasetError, MetaError])
def test_they_are_one_family(kind: type[WireError]) -> None:
    assert issubclass(kind, WireError) and issubclass(kind, ValueError)
    error = kind("is odd", "PDU length", 2, errors.REASON_UNEXPECTED_PDU)
    assert (error.field, error.offset, error.abort_reason) == ("PDU length", 2, 2)
    assert str(error) == "PDU length: is odd (byte 2)"


def test_the_reason_is_an_invalid_value_unless_said() -> None:
    error = WireError("is odd")
    assert (str(error), error.field, error.offset, error.abort_reason) == ("is odd", "", 0, 6)


def test_reasons_are_as_pynetdicom_names_them() -> None:
    names = {}
    for name, value in vars(errors).items():
        if name.startswith("REASON_"):
            abort = A_ABORT_RQ()
            abort.source, abort.reason_diagnostic = 2, value
            names[name] = abort.reason_str
    assert names == {
        "REASON_NOT_SPECIFIED": "No reason given",
        "REASON_UNRECOGNIZED_PDU": "Unrecognised PDU",
        "REASON_UNEXPECTED_PDU": "Unexpected PDU",
        "REASON_UNRECOGNIZED_PARAMETER": "Unrecognised PDU parameter",
        "REASON_UNEXPECTED_PARAMETER": "Unexpected PDU parameter",
        "REASON_INVALID_PARAMETER": "Invalid PDU parameter value",
    }
