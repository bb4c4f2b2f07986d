from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset

from dicomserver.scu.identifier import Key, Values, decode_identifier, encode_identifier
from dicomserver.wire.errors import DatasetError

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
NAME, UID, DATE, LEVEL = 0x00100010, 0x0020000D, 0x00080020, 0x00080052
both = pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])


def read(data, syntax):
    """By pydicom."""
    return dcmread(BytesIO(data), force=True) if syntax == IMPLICIT else _explicit(data)


def _explicit(data):
    from pydicom.filereader import read_dataset
    return read_dataset(BytesIO(data), is_implicit_VR=False, is_little_endian=True)


def written(dataset, syntax):
    from pydicom.filebase import DicomBytesIO
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, syntax == IMPLICIT
    write_dataset(out, dataset)
    return out.getvalue()


@both
@pytest.mark.parametrize("name, character_set", [
    ("DOE^J*", None), ("Müller", "ISO_IR 100"), ("Wang^XiaoDong=王^小東", "ISO_IR 192")])
def test_keys_as_pydicom_reads_them(name, character_set, syntax):
    keys = [Key(UID, "UI", "1.2.3\\1.2"), Key(NAME, "PN", name), Key(DATE, "DA"), Key(LEVEL, "CS", "STUDY")]
    found = read(encode_identifier(keys, syntax), syntax)
    assert list(found.keys()) == sorted(found.keys())
    assert (found.PatientName, found.StudyInstanceUID, found.StudyDate) == (name, ["1.2.3", "1.2"], "")
    assert found.get("SpecificCharacterSet") == character_set


def test_what_a_terminal_could_not_decode_goes_out_as_it_was_typed():
    data = encode_identifier([Key(NAME, "PN", "M\udcfcller")], EXPLICIT)
    assert b"M\xfcller" in data


@both
def test_what_pydicom_writes_is_read(syntax):
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName, made.ModalitiesInStudy, made.StudyDate = "Wang^XiaoDong=王^小東", ["CT", "SR"], "20260101"
    made.StudyInstanceUID, made.Rows, made.NumberOfStudyRelatedInstances = "1.2.3", 512, 12
    made.PatientComments = "a\\b "
    made.ProcedureCodeSequence = [Dataset()]
    made.ProcedureCodeSequence[0].CodeMeaning = "Röntgen"
    found = decode_identifier(written(made, syntax), syntax)
    assert found[NAME] == Values("PN", ("Wang^XiaoDong=王^小東",))
    assert (found[0x00080061].values, str(found[0x00080061])) == (("CT", "SR"), "CT\\SR")
    assert [str(found[tag]) for tag in (DATE, UID, 0x00280010, 0x00201208, 0x00104000)] == [
        "20260101", "1.2.3", "512", "12", "a\\b"]
    item, = found[0x00081032].values
    assert item[0x00080104] == Values("LO", ("Röntgen",))


@pytest.mark.parametrize("vr, value, texts", [
    ("SS", b"\xff\xff", ("-1",)), ("FD", b"\0\0\0\0\0\0\xf8\x3f", ("1.5",)), ("US", b"\1\0\2\0\3", ("1", "2")),
    ("OB", b"\1\xff", ("01ff",)), ("OB", b"", ()), ("UN", b"\xff", ("ff",)), ("LT", b"", ()), ("CS", b"", ())])
def test_other_values(vr, value, texts):
    from dicomserver.scu.identifier import _values
    from dicomserver.wire.identifier import IdentifierElement
    assert _values(IdentifierElement(0x00091001, vr, value, None), b"") == Values(vr, texts)


def test_what_is_no_dataset():
    with pytest.raises(DatasetError):
        decode_identifier(b"\x08\0\x20\0DA\xff\0", EXPLICIT)
