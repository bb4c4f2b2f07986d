"""The file meta header: as pydicom reads and writes it, of its own test files, cut off, and broken."""
from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings, strategies as st
from pydicom.filereader import read_file_meta_info
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import write_file_meta_info

from dicomserver.standard.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomserver.wire.errors import MetaError
from dicomserver.wire.meta import FileMeta
from dicomserver.wire.part10 import decode_file_meta, encode_file_meta
from tests.shipped import shipped
from tests.wire.samples import CT, EXPLICIT, IMPLICIT, INSTANCE, METAS
from tests.wire.strategies import ae_titles, uids

PREFIX = bytes(128) + b"DICM"
DATASET = struct.pack("<HH2sH", 0x0008, 0x0016, b"UI", 4) + b"1.2\0"
PRIVATE_CREATOR, PRIVATE = 0x0100, 0x0102

titles = st.just("") | ae_titles
times = st.just("") | st.from_regex(r"[0-9]{14}(\.[0-9]{1,6})?([+-][0-9]{4})?", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(uids, uids, uids, titles, titles, titles, times)
def test_what_was_encoded_comes_back_and_pydicom_agrees(
        sop_class: str, instance: str, syntax: str, source: str, sending: str, receiving: str, at: str) -> None:
    meta = encode_file_meta(sop_class, instance, syntax, source_ae=source, sending_ae=sending, receiving_ae=receiving,
                            received_at=at)
    read = decode_file_meta(PREFIX + meta + DATASET)
    assert read == FileMeta(sop_class, instance, syntax, source, sending, receiving, at, 132 + len(meta))
    theirs = pydicom.dcmread(BytesIO(PREFIX + meta)).file_meta
    assert theirs.FileMetaInformationGroupLength == len(meta) - 12
    assert theirs.FileMetaInformationVersion == b"\0\1"
    assert (theirs.MediaStorageSOPClassUID, theirs.MediaStorageSOPInstanceUID, theirs.TransferSyntaxUID) == (
        sop_class, instance, syntax)
    assert (theirs.ImplementationClassUID, theirs.ImplementationVersionName) == (
        IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)
    assert [theirs.get(keyword, "") for keyword in (
        "SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle")] == [
        source, sending, receiving]
    assert theirs.get("PrivateInformationCreatorUID", "") == (IMPLEMENTATION_CLASS_UID if at else "")
    assert theirs.get("PrivateInformation", b"").decode().rstrip(" ") == at
    written = BytesIO()
    write_file_meta_info(written, theirs)
    assert written.getvalue() == meta


def test_pydicom_reads_a_whole_file_of_ours() -> None:
    meta = encode_file_meta(CT, INSTANCE, EXPLICIT, source_ae="SCANNER")
    file = pydicom.dcmread(BytesIO(PREFIX + meta + DATASET))
    assert file.SOPClassUID == "1.2" and file.file_meta.SourceApplicationEntityTitle == "SCANNER"
    assert decode_file_meta(PREFIX + meta + DATASET).dataset_offset == 132 + len(meta)


# In these pydicom finds no "DICM", or no transfer syntax.
NO_META = {"ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "no_meta.dcm", "rtstruct.dcm",
           "meta_missing_tsyntax.dcm"}


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.name)
def test_files_of_pydicom(path: Path) -> None:
    content = path.read_bytes()
    if path.name in NO_META:
        with pytest.raises(MetaError):
            decode_file_meta(content)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # several are broken on purpose, further in
        theirs = read_file_meta_info(path)
    ours = decode_file_meta(content)
    assert (ours.sop_class_uid, ours.sop_instance_uid, ours.transfer_syntax_uid, ours.source_ae) == tuple(
        str(theirs.get(keyword) or "") for keyword in (
            "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID",
            "SourceApplicationEntityTitle"))
    assert ours.received_at == ""
    # The dataset begins where the group ends; a wrong group length did not mislead us.
    assert content[ours.dataset_offset:ours.dataset_offset + 2] != b"\x02\0"


def test_the_private_information_of_others_is_not_ours() -> None:
    theirs = FileMetaDataset()
    theirs.TransferSyntaxUID = IMPLICIT
    theirs.PrivateInformationCreatorUID = "1.2.3"
    theirs.PrivateInformation = b"20260101\xff"
    out = BytesIO()
    write_file_meta_info(out, theirs, enforce_standard=False)
    assert decode_file_meta(PREFIX + out.getvalue()).received_at == ""


@pytest.mark.parametrize("name", METAS)
def test_cut_off_anywhere_is_an_error(name: str) -> None:
    whole = METAS[name]
    for length in range(len(whole)):
        with pytest.raises(MetaError) as error:
            decode_file_meta(whole[:length])
        assert 0 <= error.value.offset <= length
    assert decode_file_meta(whole).dataset_offset == len(whole)


@pytest.mark.parametrize("name", METAS)
@pytest.mark.parametrize("rest", [b"\0", DATASET, b"\x08", b"\x02\x01\0\0", b"\xff" * 100])
def test_what_follows_is_the_dataset(name: str, rest: bytes) -> None:
    assert decode_file_meta(METAS[name] + rest) == decode_file_meta(METAS[name])


@pytest.mark.parametrize("length", [0, 10, 0xFFFFFFFF])
def test_the_group_length_sizes_nothing(length: int) -> None:
    whole = bytearray(METAS["whole"] + DATASET)
    whole[140:144] = struct.pack("<I", length)
    assert decode_file_meta(whole) == decode_file_meta(METAS["whole"])


def element(number: int, vr: bytes, value: bytes, group: int = 2) -> bytes:
    if vr in (b"OB", b"UN"):
        return struct.pack("<HH2sHI", group, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


SYNTAX = element(0x0010, b"UI", b"1.2.840.10008.1.2\0")


def test_little_is_needed() -> None:
    assert decode_file_meta(PREFIX + SYNTAX) == FileMeta("", "", IMPLICIT, "", "", "", "", len(PREFIX + SYNTAX))
    location = struct.pack("<HH2sHI", 2, 0x0026, b"UR", 0, 0)
    unknown = element(0x0005, b"UN", b"x" * 70000) + SYNTAX + location
    assert decode_file_meta(PREFIX + unknown).transfer_syntax_uid == IMPLICIT


BROKEN = {
    "no DICM": bytes(128) + b"dicm" + SYNTAX,
    "no transfer syntax": PREFIX + element(0x0002, b"UI", b"1.2\0") + DATASET,
    "an empty transfer syntax": PREFIX + element(0x0010, b"UI", b"") + DATASET,
    "no meta at all": PREFIX + DATASET,
    "an element twice": PREFIX + SYNTAX + SYNTAX,
    "elements out of order": PREFIX + SYNTAX + element(0x0002, b"UI", b"1.2\0"),
    "implicit VR": PREFIX + struct.pack("<HHI", 2, 0x10, 18) + b"1.2.840.10008.1.2\0",
    "a VR of small letters": PREFIX + element(0x0010, b"ui", b"1.2\0"),
    "a value beyond the end": PREFIX + SYNTAX + struct.pack("<HH2sH", 2, 0x16, b"AE", 0xFFFF) + b"A",
    "undefined length": PREFIX + SYNTAX + struct.pack("<HH2sHI", 2, 0x102, b"OB", 0, 0xFFFFFFFF) + b"A" * 100,
    "a group length of 2 bytes": PREFIX + element(0, b"UL", b"\0\0") + SYNTAX,
    "a group length of 6 bytes": PREFIX + element(0, b"UL", b"\0" * 6) + SYNTAX,
    "a UID that is not ASCII": PREFIX + element(0x0010, b"UI", b"1.\xff2"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_ones_are_refused(name: str) -> None:
    with pytest.raises(MetaError) as error:
        decode_file_meta(BROKEN[name])
    assert error.value.field and 0 <= error.value.offset <= len(BROKEN[name])


@pytest.mark.parametrize("arguments", [
    {"sop_class_uid": "1" * 65}, {"sop_instance_uid": "é"}, {"transfer_syntax_uid": "1" * 70000},
    {"source_ae": "A" * 17}, {"receiving_ae": "€"}, {"received_at": "2" * 27}, {"received_at": "é"},
], ids=lambda arguments: "".join(arguments))
def test_what_no_header_can_say_is_an_error(arguments: dict[str, str]) -> None:
    with pytest.raises(MetaError):
        encode_file_meta(**{"sop_class_uid": "1", "sop_instance_uid": "1", "transfer_syntax_uid": "1"} | arguments)


def test_a_title_may_be_any_that_was_accepted() -> None:
    read = decode_file_meta(PREFIX + encode_file_meta("1", "1", "1", sending_ae="SCÄNNER"))
    assert read.sending_ae == "SCÄNNER"


def test_nothing_of_the_buffer_is_kept() -> None:
    buffer = bytearray(METAS["whole"])
    meta = decode_file_meta(buffer)
    buffer.clear()          # an exported buffer could not be resized
    assert meta.source_ae == "SCANNER"
