from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import ArchiveDamaged, StorageFailed
from dicomserver.archive.index_record import NAME, IndexRecord, read_record, write_record

RECORD = IndexRecord("0" * 32, "sqlite:///srv/dicom-server.db")


def test_is_there_once_it_was_written(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "d")
    assert archive.index_record() is None
    for record in (RECORD, RECORD._replace(identity="1" * 32)):
        archive.note_index(record)
        assert archive.index_record() == record
    archive.close()
    archive = Archive(tmp_path / "d")
    assert archive.index_record() == record
    archive.close()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"identity": "1"}', "\xff"])
def test_an_illegible_one_is_not_taken_for_none(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_bytes(text.encode("latin_1"))
    with Folder(str(tmp_path)) as root, pytest.raises(ArchiveDamaged, match="cannot be understood"):
        read_record(root)


def test_one_that_cannot_be_written_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "full")

    with Folder(str(tmp_path)) as root:
        write_record(root, RECORD)
        with monkeypatch.context() as patched, pytest.raises(StorageFailed):
            patched.setattr("os.write", full)
            write_record(root, IndexRecord("1", "2"))
        assert read_record(root) == RECORD
