"""An import from folders into a stopped server's archive: what comes in, what stays where, and going on."""
from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive.errors import ArchiveUnusable
from dicomserver.archive.imports import Imports
from dicomserver.index import IndexUnavailable
from dicomserver.server import importing
from dicomserver.server.control_client import NotRunning
from dicomserver.server.import_targets import StoppedTarget
from dicomserver.server.importing import How, ImportStopped, Item, Result, count_files, import_folders
from dicomserver.server.settings import ServerSettings, StorageSettings
from dicomserver.services.adoption import CONFLICT, Verdict
from dicomserver.wire.part10 import encode_file_meta
from tests.archive.files import names
from tests.interop.synthetic import CT, EXPLICIT, instance
from tests.server.test_import_sources import compressed
from tests.shipped import FOLDER


def settings(data: Path, reserve: int = 0) -> ServerSettings:
    return ServerSettings(data_directory=data, storage=StorageSettings(reserve=reserve))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def target(data: Path) -> Iterator[StoppedTarget]:
    with StoppedTarget(settings(data), logging.getLogger("test.importing")) as opened:
        yield opened


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three images of one series, one of another study, and what else lies about."""
    for path, (study, number) in {"a/1": (1, 1), "a/2": (1, 2), "b/c/IM0": (1, 3), "b/IM1": (2, 1)}.items():
        one = tmp_path / "tree" / path
        one.parent.mkdir(parents=True, exist_ok=True)
        one.write_bytes(part10(study, number))
    (tmp_path / "tree" / "README").write_bytes(b"about")
    shutil.copy(FOLDER / "dicomdirtests" / "DICOMDIR", tmp_path / "tree" / "DICOMDIR")
    return tmp_path / "tree"


def part10(study: int, number: int, preamble: bytes = bytes(128), **more: str) -> bytes:
    one = instance(study, number, **more)
    return preamble + b"DICM" + encode_file_meta(CT, one.sop_instance, EXPLICIT, source_ae="OTHER") + one.dataset


def brought(target, tree: Path, how: How = How.COPY, **options: bool) -> dict[str, Item]:
    """Imports; each file by its path below the tree."""
    items: list[Item] = []
    import_folders(target, [str(tree)], how, items.append, **options)
    found = {os.path.relpath(item.path, tree): item for item in items}
    assert len(found) == len(items)
    return found


def results(items: dict[str, Item]) -> dict[str, Result]:
    return {path: item.result for path, item in items.items()}


IMAGES = ("a/1", "a/2", "b/c/IM0", "b/IM1")
SKIPPED = {"README": Result.SKIPPED, "DICOMDIR": Result.SKIPPED}


def stored(target: StoppedTarget, data: Path) -> dict[str, bytes]:
    """All files of the archive once they are filed, each read to its end; by their SOP Instance UIDs."""
    assert target._mover.flush()
    for row in target._index.select():
        target._archive.verify(row)
    assert not (data / "imports").exists()
    assert target._adoption._lent == {}
    return {path.stem: path.read_bytes() for path in data.glob("*/*/*.dcm")}


def datasets(*numbers: tuple[int, int]) -> dict[str, bytes]:
    return {one.sop_instance: one.dataset for one in (instance(*number) for number in numbers)}


ALL = ((1, 1), (1, 2), (1, 3), (2, 1))


def test_a_tree_is_copied(target, data: Path, tree: Path) -> None:
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    items = brought(target, tree)
    assert results(items) == dict.fromkeys(IMAGES, Result.IMPORTED) | SKIPPED
    assert items["a/1"] == Item(str(tree / "a/1"), Result.IMPORTED, "", len(instance(1, 1).dataset), True)
    found = stored(target, data)
    for uid, dataset in datasets(*ALL).items():
        assert found.pop(uid).endswith(dataset)
    assert found == {} and target._index.counts().studies == 2
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before
    assert {row.received_at > 0 for row in target._index.select()} == {True}


@pytest.mark.parametrize("is_quick", [False, True])
def test_again_nothing_is_doubled(is_quick: bool, target, data: Path, tree: Path) -> None:
    brought(target, tree)
    assert results(brought(target, tree, is_quick=is_quick)) == dict.fromkeys(IMAGES, Result.KNOWN) | SKIPPED
    assert len(stored(target, data)) == 4


def test_another_image_of_the_same_uid_and_length_is_noticed_unless_it_shall_be_quick(target, tree: Path) -> None:
    brought(target, tree)
    (tree / "a/1").write_bytes(part10(1, 1, patient_name="Doe^John"))
    (tree / "a/2").write_bytes(part10(1, 2, comment="longer"))
    quick = brought(target, tree, is_quick=True)
    assert (quick["a/1"].result, quick["a/2"].result) == (Result.KNOWN, Result.REFUSED)
    for how in How:
        item = brought(target, tree, how)["a/1"]
        assert (item.result, item.why) == (Result.REFUSED, CONFLICT)
    assert (tree / "a/1").exists() and not (tree / "b/IM1").exists()


def test_linked_files_are_the_archives_too(target, data: Path, tree: Path) -> None:
    (tree / "a/2").write_bytes(part10(1, 2, preamble=b"II*\0" + bytes(124)))
    before = {path: (tree / path).read_bytes() for path in IMAGES}
    items = brought(target, tree, How.LINK)
    assert results(items) == dict.fromkeys(IMAGES, Result.IMPORTED) | SKIPPED
    assert {path: item.is_copied for path, item in items.items() if item.octets} == {
        "a/1": False, "a/2": True, "b/c/IM0": False, "b/IM1": False}
    assert len(stored(target, data)) == 4
    one = instance(1, 1)
    assert (tree / "a/1").samefile(data / one.study / one.series / f"{one.sop_instance}.dcm")
    after = {path: (tree / path).read_bytes() for path in IMAGES}
    assert {path: octets[128:] for path, octets in after.items()} == {
        path: octets[128:] for path, octets in before.items()}
    assert [path for path in IMAGES if after[path] == before[path]] == ["a/2"]
    # Again, and elsewhere: what has a preamble of ours is not taken over a second time.
    assert results(brought(target, tree, How.LINK)) == dict.fromkeys(IMAGES, Result.KNOWN) | SKIPPED


def test_moved_files_leave_their_place(target, data: Path, tree: Path) -> None:
    (tree / "a/1").chmod(0o644)
    (tree / "broken").write_bytes(part10(1, 9)[:-1])
    items = brought(target, tree, How.MOVE)
    assert items["broken"].result is Result.REFUSED and items["broken"].why.startswith("its dataset: ")
    assert sorted(path.name for path in tree.rglob("*") if path.is_file()) == ["DICOMDIR", "README", "broken"]
    found = stored(target, data)
    assert {uid: octets[-len(datasets(*ALL)[uid]):] for uid, octets in found.items()} == datasets(*ALL)
    assert {path.stat().st_mode & 0o777 for path in data.glob("*/*/*.dcm")} == {0o600}
    assert {path.stat().st_nlink for path in data.glob("*/*/*.dcm")} == {1}
    # What is known already goes, too: every byte was compared.
    (tree / "a/1").write_bytes(part10(1, 1))
    assert brought(target, tree, How.MOVE)["a/1"].result is Result.KNOWN
    assert not (tree / "a/1").exists()


def test_a_file_that_cannot_be_removed_is_told(target, data: Path, tree: Path, monkeypatch) -> None:
    def fail(path: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    real = os.unlink
    monkeypatch.setattr(os, "unlink", lambda path, **more: real(path, **more) if more else fail(path))
    item = brought(target, tree / "a", How.MOVE)["1"]
    assert (item.result, item.why) == (Result.IMPORTED, "it is stored, but could not be removed: Read-only file system")
    assert (tree / "a/1").exists()


def test_another_file_in_its_place_stays(target, data: Path, tree: Path, monkeypatch) -> None:
    real = StoppedTarget.adopt

    def adopt(self, names: list[str]) -> dict:
        verdicts = real(self, names)
        (tree / "a/1").unlink()
        (tree / "a/1").write_bytes(b"new")
        return verdicts

    monkeypatch.setattr(StoppedTarget, "adopt", adopt)
    item = brought(target, tree / "a", How.MOVE)["1"]
    assert item.result is Result.IMPORTED and "another file is in its place" in item.why
    assert (tree / "a/1").read_bytes() == b"new"


def test_what_orthanc_has_compressed(target, data: Path, tree: Path) -> None:
    one = tree / "0a/1b"
    one.parent.mkdir()
    one.write_bytes(compressed(part10(3, 1)))
    for how in (How.LINK, How.MOVE):
        assert brought(target, tree / "0a", how)["1b"].result in (Result.IMPORTED, Result.KNOWN)
    assert not one.exists()
    found = stored(target, data)
    assert found[instance(3, 1).sop_instance].endswith(instance(3, 1).dataset)


def test_the_parts_that_orthanc_keeps_beside_its_images(target, data: Path, tmp_path: Path) -> None:
    """Whichever of the two comes first."""
    tree = tmp_path / "orthanc"
    tree.mkdir()
    sized = bytes.fromhex("28001000555302001000 28001100555302001000")
    for number, names_ in enumerate((("1-part", "2-whole"), ("4-part", "3-whole")), start=1):
        whole = part10(1, number)
        at = whole.index(b"\xe0\x7f\x10\0")
        for name in names_:
            (tree / name).write_bytes(compressed(whole[:at] + sized + (b"" if "part" in name else whole[at:])))
    for expected in (Result.IMPORTED, Result.KNOWN):
        assert results(brought(target, tree)) == {"1-part": Result.SKIPPED, "2-whole": expected,
                                                  "3-whole": expected, "4-part": Result.SKIPPED}
    assert len(stored(target, data)) == 2


def test_large_batches_are_stored_in_parts(target, tree: Path, monkeypatch) -> None:
    asked: list[int] = []
    real = StoppedTarget.adopt

    def adopt(self, names: list[str]) -> dict:
        asked.append(len(names))
        return real(self, names)

    monkeypatch.setattr(StoppedTarget, "adopt", adopt)
    monkeypatch.setattr(importing, "OCTETS_AT_ONCE", 1)
    brought(target, tree)
    assert asked == [1, 1, 1, 1]


def test_many_batches_are_told_in_their_order(target, data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(importing, "FILES_AT_ONCE", 2)
    for number in range(1, 40):
        (tmp_path / "tree").mkdir(exist_ok=True)
        (tmp_path / "tree" / f"{number:02}").write_bytes(part10(1, number))
    items = brought(target, tmp_path / "tree")
    assert set(results(items).values()) == {Result.IMPORTED} and len(stored(target, data)) == 39
    ours = [path for path in items]
    assert [set(ours[at:at + 2]) for at in range(0, 39, 2)] == [
        {f"{number:02}", f"{number + 1:02}"} - {"40"} for number in range(1, 40, 2)]


@pytest.mark.parametrize("inside", ["", "sub", ".."])
def test_not_from_its_own_data_directory(inside: str, target, data: Path) -> None:
    (data / "sub").mkdir()
    with pytest.raises(ImportStopped, match="the server's own data directory"):
        import_folders(target, [str(data / inside)], How.MOVE, lambda item: None)


def test_the_reserve_stays_free(data: Path, tree: Path) -> None:
    with StoppedTarget(settings(data), logging.getLogger("test.importing")) as target:
        target.reserve = 1 << 60
        with pytest.raises(ImportStopped, match="only the reserve of free space"):
            brought(target, tree)
        target.reserve = 0
        assert brought(target, tree)["a/1"].result is Result.IMPORTED


class Failing:
    """A target of which something fails once some files are stored."""

    def __init__(self, target: StoppedTarget, error: Exception | None, after: int) -> None:
        self.data_directory, self.reserve = target.data_directory, 0
        self._target = target
        self._error = error
        self._left = after

    def known(self, uids: list[str]) -> dict:
        return self._target.known(uids)

    def lend(self, count: int) -> list[str]:
        return self._target.lend(count)

    def take_back(self) -> None:
        self._target.take_back()
        if self._left < 0 and isinstance(self._error, NotRunning):
            raise self._error

    def adopt(self, names: list[str]) -> dict:
        self._left -= 1
        if self._left >= 0:
            return self._target.adopt(names)
        if self._error is None:
            return dict.fromkeys(names, (Verdict.STOPPED, "the disk is full"))
        raise self._error


@pytest.mark.parametrize("error, why", [
    (NotRunning("no server is running"), "does not answer any more: no server is running"),
    (IndexUnavailable("it is locked"), "index is unavailable: it is locked"),
    (OSError(errno.ENOSPC, "full"), "writing failed: No space left"), (None, "the disk is full")])
def test_an_end_in_the_middle_and_going_on(error, why: str, target, data: Path, tree: Path, monkeypatch) -> None:
    monkeypatch.setattr(importing, "FILES_AT_ONCE", 1)
    monkeypatch.setattr(importing, "THREADS", 1)
    items: list[Item] = []
    with pytest.raises(ImportStopped, match=why):
        import_folders(Failing(target, error, 2), [str(tree)], How.COPY, items.append)
    done = [item for item in items if item.result is Result.IMPORTED]
    assert len(done) == len(stored(target, data)) == 2
    again = results(brought(target, tree))
    assert list(again.values()).count(Result.KNOWN) == 2 and list(again.values()).count(Result.IMPORTED) == 2


def test_an_interruption_tells_what_was_done(target, data: Path, tree: Path, monkeypatch) -> None:
    monkeypatch.setattr(importing, "FILES_AT_ONCE", 1)
    items: list[Item] = []

    def tell(item: Item) -> None:
        items.append(item)
        if len(items) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_folders(target, [str(tree)], How.COPY, tell)
    told = [item for item in items if item.result is Result.IMPORTED]
    assert len(told) == len(stored(target, data)) <= 4
    assert threading.active_count() < 10


def test_a_mover_that_cannot_move_stops_it(target, data: Path, tree: Path) -> None:
    target._archive.refuse("the mover cannot move")
    with pytest.raises(ImportStopped, match="the mover cannot move"):
        brought(target, tree)
    target._archive.resume()
    assert brought(target, tree)["a/1"].result is Result.IMPORTED


def test_beside_another_import(target, data: Path, tree: Path) -> None:
    with Imports(str(data)), pytest.raises(ArchiveUnusable, match="another import"):
        brought(target, tree)


def test_unreadable_files_are_refused_and_the_others_come(target, tree: Path, monkeypatch) -> None:
    real = os.preadv
    bad = (tree / "a/1").stat().st_ino

    def preadv(fd: int, buffers: list, offset: int) -> int:
        if os.fstat(fd).st_ino == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    items = brought(target, tree)
    assert (items["a/1"].result, items["a/1"].why) == (Result.REFUSED, "it cannot be read: Input/output error")
    assert items["a/2"].result is Result.IMPORTED


def test_a_known_file_that_cannot_be_read(target, tree: Path, monkeypatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    brought(target, tree)
    monkeypatch.setattr(importing, "checksum_file", fail)
    assert brought(target, tree)["a/1"].why == "it cannot be read: Input/output error"


def test_counting(tree: Path) -> None:
    assert count_files([str(tree)], lambda: True) == 6
    assert count_files([str(tree)], lambda: False) is None
    assert count_files([str(tree / "a/1")], lambda: True) == 1
    (tree / "empty").mkdir()
    assert count_files([str(tree / "empty")], lambda: True) == 0
    assert names(tree) == ["DICOMDIR", "README", "a", "b", "empty"]
