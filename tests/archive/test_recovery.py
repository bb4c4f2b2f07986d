from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from dicomserver.archive import preamble
from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import RecoveryFailed
from dicomserver.archive.recovery import Found, Verdict
from tests.archive.files import CT, instance_bytes, names, store
from tests.archive.power import watch

SLOT = (1 << 32) + 9


@pytest.fixture
def left(data: Path) -> Path:
    """The intake of a data directory that was opened once."""
    Archive(data).close()
    return data / "intake"


@pytest.fixture
def examined(data: Path, left: Path) -> Iterator:
    archives = []

    def examine(*arguments: object) -> list[Found]:
        archives.append(Archive(data))
        return list(archives[-1].examine_intake(*arguments))

    yield examine
    for archive in archives:
        archive.close()


def put(left: Path, content: bytes, slot: int = SLOT) -> Path:
    path = left / f"{slot:016x}"
    path.write_bytes(content)
    return path


def test_a_whole_slot(left: Path, examined) -> None:
    content = instance_bytes(SLOT, "1.1", b"pixels")
    put(left, content)
    found, = examined()
    assert (found.verdict, found.slot, found.file_length) == (Verdict.WHOLE, SLOT, len(content))
    assert found.name == f"intake/{SLOT:016x}"
    assert found.header.meta.sop_instance_uid == "1.1" and found.header.meta.sop_class_uid == CT
    assert found.header.preamble.slot == SLOT


@pytest.mark.parametrize("length", [0, 7, 127, 128, 131, 200])
def test_without_a_complete_header_it_was_never_acknowledged(left: Path, examined, length: int) -> None:
    path = put(left, instance_bytes(SLOT, "1.1", b"pixels")[:length])
    found, = examined()
    assert (found.verdict, found.slot) == (Verdict.REMOVED, SLOT)
    assert not path.exists()


def test_bytes_without_a_preamble_were_never_acknowledged(left: Path, examined) -> None:
    path = put(left, bytes(128) + instance_bytes(SLOT, "1.1", b"pixels")[128:])
    assert examined()[0].verdict is Verdict.REMOVED
    assert not path.exists()


def test_unless_the_index_knows_the_slot(left: Path, examined) -> None:
    """One look for all of them: it may be dear."""
    paths = [put(left, bytes(300), slot) for slot in (SLOT, SLOT + 1, SLOT + 2)]
    put(left, b"foreign", (1 << 64) - 1)
    asked = []

    def rows_of(slots: Collection[int]) -> dict[int, str]:
        asked.append(sorted(slots))
        return {SLOT: "1.1", SLOT + 2: "1.2"}

    found = [one for one in examined(rows_of) if one.verdict is not Verdict.FOREIGN]
    assert [one.verdict for one in found] == [Verdict.DAMAGED, Verdict.REMOVED, Verdict.DAMAGED]
    assert [one.row_uid for one in found] == ["1.1", None, "1.2"]
    assert [path.exists() for path in paths] == [True, False, True]
    assert asked == [[SLOT, SLOT + 1, SLOT + 2]]


def test_a_damaged_slot_may_have_a_row_too(left: Path, examined) -> None:
    put(left, instance_bytes(SLOT, "1.1", b"pixels") + b"X")
    found, = examined(lambda slots: {SLOT: "1.1"})
    assert (found.verdict, found.row_uid) == (Verdict.DAMAGED, "1.1")


def test_of_what_is_whole_or_empty_no_row_is_looked_for(left: Path, examined) -> None:
    put(left, instance_bytes(SLOT, "1.1", b"pixels"))
    put(left, b"", SLOT + 1)

    def rows_of(slots: Collection[int]) -> dict[int, str]:
        raise AssertionError("that reads the whole table")

    assert [found.verdict for found in examined(rows_of)] == [Verdict.WHOLE, Verdict.REMOVED]


def test_what_is_kept_aside_is_set_aside_under_the_same_name(data: Path, left: Path) -> None:
    path = put(left, instance_bytes(SLOT, "1.1", b"pixels") + b"X")
    with Archive(data) as archive:
        found, = archive.examine_intake()
        name = archive.keep_aside(found, found.reason, {})
        assert path.exists() and archive.quarantine.lies_here(name)
        assert archive.set_aside(found, found.reason, {}) == name
        assert not path.exists() and archive.quarantined() == 1


def broken(content: bytes) -> dict[str, bytes]:
    return {"dataset": content[:-1] + b"X", "short": content[:-1], "long": content + b"X",
            "header": content[:150] + b"\xff" + content[151:], "preamble": content[:9] + b"\xff" + content[10:],
            "another slot's": instance_bytes(SLOT + 1, "1.1", b"pixels")}


@pytest.mark.parametrize("how", broken(bytes(300)))
def test_damaged(left: Path, examined, how: str) -> None:
    path = put(left, broken(instance_bytes(SLOT, "1.1", b"pixels"))[how])
    found, = examined()
    assert found.verdict is Verdict.DAMAGED
    assert found.reason
    assert path.exists()


def test_a_damaged_slot_is_set_aside(data: Path, left: Path) -> None:
    put(left, instance_bytes(SLOT, "1.1", b"pixels") + b"X")
    archive = Archive(data)
    found, = archive.examine_intake()
    assert archive.set_aside(found, found.reason, {"slot": found.slot}) == f"{SLOT:016x}"
    assert list(archive.examine_intake()) == []
    archive.close()
    assert names(left) == []


def test_what_cannot_be_read_is_damaged(left: Path, examined, monkeypatch: pytest.MonkeyPatch) -> None:
    put(left, instance_bytes(SLOT, "1.1", b"pixels"))

    def unreadable(fd: int, offset: int, length: int) -> int:
        raise OSError(errno.EIO, "")

    monkeypatch.setattr(preamble, "checksum_file", unreadable)
    found, = examined()
    assert (found.verdict, found.reason) == (Verdict.DAMAGED, "it cannot be read")


def test_names_and_bytes_are_durable_before_anybody_relies_on_them(data: Path, left: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    put(left, instance_bytes(SLOT, "1.1", b"pixels"))
    archive = Archive(data)
    disk = watch(monkeypatch, data)
    next(archive.examine_intake())
    place = f"intake/{SLOT:016x}"
    assert disk.calls == [("fsync", "intake"), ("open", place), ("open", place), ("fdatasync", place)]
    archive.close()


def test_bytes_are_read_from_the_disk_and_not_from_the_page_cache(left: Path, examined,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """After a sync that failed the cache has pages that count as written; another sync succeeds. Pages that are not
    written yet stay when they are told to go."""
    path = put(left, instance_bytes(SLOT, "1.1", b"pixels"))
    synced = []

    def gone(fd: int, offset: int, length: int, advice: int) -> None:
        if synced and (offset, length, advice) == (0, 0, os.POSIX_FADV_DONTNEED):
            path.write_bytes(path.read_bytes()[:-6] + bytes(6))

    monkeypatch.setattr(os, "fdatasync", synced.append)
    monkeypatch.setattr(os, "posix_fadvise", gone)
    found, = examined()
    assert (found.verdict, found.reason) == (Verdict.DAMAGED, "the dataset's checksum does not hold")


def test_slots_come_in_the_order_in_which_they_were_sealed(data: Path, left: Path) -> None:
    """Of two with one SOP Instance UID the one sealed first may have been acknowledged; its number says nothing."""
    for slot, order in ((SLOT, 3), (SLOT + 1, 1), (SLOT + 2, 2)):
        put(left, instance_bytes(slot, "1.1", b"pixels", order=order), slot)
    with Archive(data) as archive:
        assert [found.slot for found in archive.examine_intake()] == [SLOT + 1, SLOT + 2, SLOT]


def test_a_slot_that_cannot_be_made_durable_is_not_relied_on(data: Path, left: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    put(left, instance_bytes(SLOT, "1.1", b"pixels"))
    archive = Archive(data)
    for call in ("fdatasync", "fsync"):
        with monkeypatch.context() as patch:
            def fail(fd: int) -> None:
                raise OSError(errno.EIO, "")
            patch.setattr(os, call, fail)
            with pytest.raises(RecoveryFailed):
                list(archive.examine_intake())
    archive.close()


def test_foreign_things_are_left_alone(left: Path, examined, tmp_path: Path) -> None:
    (left / "notes.txt").write_text("x")
    (left / "0000000100000001").mkdir()
    (left / "0000000100000002").symlink_to(tmp_path / "anywhere")
    assert [found.verdict for found in examined()] == [Verdict.FOREIGN] * 3
    assert {"notes.txt", "0000000100000001", "0000000100000002"} <= set(names(left))


def test_the_slots_of_this_start_are_not_looked_at(archive: Archive) -> None:
    store(archive, "1.1")
    slot = archive.take()
    assert list(archive.examine_intake()) == []
    archive.discard(slot)


def test_a_copy_of_the_whole_story(data: Path, tmp_path: Path) -> None:
    """A killed server's directory, byte for byte: what was acknowledged is found, the stock goes."""
    archive = Archive(data)
    waiting = [store(archive, f"1.{number}", b"%d" % number) for number in range(20)]
    archive.file_batch(waiting[:5])
    shutil.copytree(data, tmp_path / "copy", ignore=shutil.ignore_patterns("lock"))
    archive.close()
    again = Archive(tmp_path / "copy")
    verdicts = {found.slot: found.verdict for found in again.examine_intake()}
    assert [slot for slot, verdict in verdicts.items() if verdict is Verdict.WHOLE] == [w.slot for w in waiting[5:]]
    assert set(verdicts.values()) == {Verdict.WHOLE, Verdict.REMOVED}
    again.close()
