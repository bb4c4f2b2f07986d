import pytest

from dicomserver.cli.uids import transfer_syntax, uid


def test_a_uid():
    assert uid("1.2.3") == "1.2.3"
    for wrong in ("", "1..2", "../1", "a", "1." * 33 + "1"):
        with pytest.raises(ValueError, match="digits and single dots"):
            uid(wrong)


def test_a_transfer_syntax():
    assert transfer_syntax("1.2.840.10008.1.2.4.90") == "1.2.840.10008.1.2.4.90"
    for wrong in ("1.2.840.10008.1.1", "jpeg"):
        with pytest.raises(ValueError, match="transfer syntax"):
            transfer_syntax(wrong)
