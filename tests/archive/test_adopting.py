"""Files of imports/ become slots: what the archive then knows of them, and what it does not take."""
from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dicomserver.archive.adopting import read_foreign_header
from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing
from dicomserver.archive.filing import Result, Waiting
from dicomserver.archive.layout import slot_name
from dicomserver.archive.preamble import LENGTH, check_whole, read_header
from tests.archive.files import SERIES, STUDY, adopt, instance_bytes, intake_of, lay_in, names
from tests.archive.power import watch
from tests.archive.test_intake import fail_late


def test_an_adopted_file_is_whole_and_is_filed_like_any_other(archive: Archive, data: Path) -> None:
    slot, name = archive.take(), lay_in(data, "1.1", b"a dataset")
    before = (data / "imports" / name).read_bytes()
    length = adopt(archive, name, slot, order=7)
    archive.adopting.settle()
    header = read_header(slot.fd)
    check_whole(slot.fd, header.preamble)
    assert (header.preamble.slot, header.preamble.order) == (slot.number, 7)
    assert (header.meta.sop_instance_uid, header.meta.source_ae) == ("1.1", "SCANNER")
    assert (data / "intake" / slot.name).read_bytes()[LENGTH:] == before[LENGTH:]
    assert names(data / "imports") == []
    archive.keep(slot, length)
    outcome, = archive.file_batch([Waiting(slot.number, STUDY, SERIES, "1.1", length)])
    assert outcome.result is Result.FILED
    assert (data / STUDY / SERIES / "1.1.dcm").stat().st_size == length


def test_a_slot_that_was_lent_stays_what_it_is(archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = archive.take()
    place = archive.adopting.place_of(slot)
    assert (data / place).samefile(f"/proc/self/fd/{slot.fd}") and not place.startswith(("/", "."))
    (data / place).write_bytes((data / "imports" / lay_in(data, "1.1")).read_bytes())
    archive.adopting.mark(slot, slot.fd, read_foreign_header(slot.fd), 4711, 3)
    disk = watch(monkeypatch, data)
    archive.adopting.seal(slot, place, slot.fd)
    assert disk.calls == [("fdatasync", place)]
    assert read_header(slot.fd).preamble.checksum == 4711
    archive.discard(slot)


def test_the_other_name_of_an_adopted_file_stays(archive: Archive, data: Path) -> None:
    slot, name = archive.take(), lay_in(data, "1.1")
    os.link(data / "imports" / name, data.parent / "original")
    adopt(archive, name, slot)
    assert (data.parent / "original").samefile(data / "intake" / slot.name)
    archive.discard(slot)
    assert (data.parent / "original").read_bytes().endswith(b"pixels")


@pytest.mark.parametrize("name", ["../format", "0" * 31, "0" * 32, "g" * 32, "", "0" * 32 + "/x"])
def test_what_is_no_file_of_an_import(name: str, archive: Archive, data: Path) -> None:
    (data / "imports").mkdir()
    with pytest.raises(InstanceMissing):
        archive.adopting.open(name)


def test_without_an_import_there_is_none(archive: Archive) -> None:
    with pytest.raises(InstanceMissing):
        archive.adopting.open("0" * 32)


def test_only_files_are_opened(archive: Archive, data: Path) -> None:
    (data / "imports" / ("0" * 32)).mkdir(parents=True)
    (data / "imports" / ("1" * 32)).symlink_to("/etc/passwd")
    os.mkfifo(data / "imports" / ("2" * 32))
    with pytest.raises(OSError, match="Is a directory"):
        archive.adopting.open("0" * 32)
    with pytest.raises(OSError, match="symbolic"):
        archive.adopting.open("1" * 32)
    with pytest.raises(InstanceDamaged, match="no file"):
        archive.adopting.open("2" * 32)
    held = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    assert [path for path in held if path.startswith(f"{data}/imports/")] == []


@pytest.mark.parametrize("content, why", [
    (b"", "header"), (bytes(200), "header"), (bytes(LENGTH) + b"DICM", "header"),
    (instance_bytes(1, "1.1", b"x"), "preamble"), (b"II*\0" + bytes(124) + instance_bytes(1, "1.1", b"x")[LENGTH:],
                                                   "preamble")])
def test_headers_that_will_not_do(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with open(tmp_path / "file", "rb") as file, pytest.raises(InstanceDamaged, match=why):
        read_foreign_header(file.fileno())


def test_a_file_whose_sync_fails_leaves_the_slot_as_it_was(archive: Archive, data: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    slot, name = archive.take(), lay_in(data, "1.1")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="Input/output"):
            adopt(archive, name, slot)
    assert names(data / "imports") == [name] and intake_of(archive) == []
    archive.discard(slot)
    assert not (data / "intake" / slot_name(slot.number)).exists()


def test_an_empty_file_that_reports_late_while_it_is_closed_gives_its_place_all_the_same(
        archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was written to it; and its number may be another file's already."""
    slot, name = archive.take(), lay_in(data, "1.1")
    empty = slot.fd
    fail_late(monkeypatch, slot)
    length = adopt(archive, name, slot)
    assert os.path.samestat(os.fstat(slot.fd), (data / "intake" / slot.name).stat())
    os.dup2(slot.fd, empty)     # another file
    archive.keep(slot, length)
    os.close(empty)
