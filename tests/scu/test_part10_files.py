import os

import pytest

from dicomserver.scu.part10_files import NotSendable, find_files, read_file, read_identity
from tests.scu.scp import instance, write
from tests.shipped import FOLDER, shipped


def found(*paths, recursive=False):
    return [(one.path, one.is_named) for one in find_files(paths, recursive=recursive)]


def test_files_folders_and_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("b/c")
    for name in ("a.dcm", "b/2", "b/1", "b/c/3", "[x].dcm"):
        open(name, "w").close()
    assert found("a.dcm", "b", "none") == [("a.dcm", True), ("b", True), ("none", True)]
    assert found("b", recursive=True) == [("b/1", False), ("b/2", False), ("b/c/3", False)]
    assert found("b/?", "*.dcm") == [("b/1", True), ("b/2", True), ("b/c", True), ("[x].dcm", True), ("a.dcm", True)]
    assert found("[x].dcm") == [("[x].dcm", True)]
    assert found("b/**/3") == [("b/c/3", True)]


def test_what_is_known_of_a_file(tmp_path):
    path = write(tmp_path / "x.dcm", instance(7))
    file = read_file(path)
    assert (file.instance.sop_instance_uid, file.instance.transfer_syntax_uid) == (
        "1.2.3.4.5.1.7", "1.2.840.10008.1.2.1")
    assert file.offset + file.length == os.path.getsize(path)
    assert read_identity(file) == ("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5.1.7", "1.2.3.4.5", "1.2.3.4.5.1")


def test_a_header_longer_than_the_first_read(tmp_path):
    made = instance()
    made.file_meta.PrivateInformationCreatorUID = "1.2.3"
    made.file_meta.PrivateInformation = bytes(100_000)
    file = read_file(write(tmp_path / "x.dcm", made))
    assert file.offset > 100_000


@pytest.mark.parametrize("make, why, foreign", [
    (lambda path: None, "cannot be read: No such file or directory", False),
    (os.mkdir, "is a folder: -r sends what is in it", False),
    (os.mkfifo, "cannot be read: Illegal seek", False),
    (lambda path: path.write_bytes(b""), "is no DICOM file", True),
    (lambda path: path.write_bytes(bytes(5000)), "is no DICOM file", True),
    (lambda path: path.write_bytes(bytes(128) + b"DICM" + b"\2\0\0\0"), "has a damaged header: ", False),
    (lambda path: path.write_bytes((FOLDER / "dicomdirtests" / "DICOMDIR").read_bytes()), "is a DICOMDIR", True),
    (lambda path: path.write_bytes((FOLDER / "nested_priv_SQ.dcm").read_bytes()), "does not say which SOP", False),
])
def test_what_cannot_be_sent(make, why, foreign, tmp_path):
    path = tmp_path / "x"
    make(path)
    with pytest.raises(NotSendable) as error:
        read_file(str(path))
    assert (str(error.value)[:len(why)], error.value.is_foreign) == (why, foreign)


def test_no_shipped_file_makes_it_stumble():
    for path in shipped("*"):
        try:
            file = read_file(str(path))
        except NotSendable:
            continue
        assert 0 < file.offset <= path.stat().st_size
        identity = read_identity(file)
        assert len(identity) == 4
