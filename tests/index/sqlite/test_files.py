from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from dicomserver.index import Index, IndexUnavailable
from dicomserver.index.sqlite import files
from dicomserver.index.sqlite.engine import SqliteFile
from tests.index.samples import make


def index_at(path: Path, *numbers: int) -> Index:
    index = Index(SqliteFile(path))
    for number in numbers:
        index.add(make(number))
    return index


def slots(path: Path) -> list[int]:
    index = Index(SqliteFile(path))
    found = [stored.slot for stored in index.select()]
    index.close()
    return found


def test_making_leaves_what_is_there(tmp_path: Path) -> None:
    files.create(tmp_path / "a")
    (tmp_path / "a").write_text("kept")
    files.create(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "kept"
    with pytest.raises(IndexUnavailable):
        files.create(tmp_path / "none" / "a")
    with pytest.raises(IndexUnavailable):
        files.sync_folder(tmp_path / "none")


def test_removing_takes_the_companions_too(tmp_path: Path) -> None:
    for name in ("a", "a-wal", "a-shm", "ab"):
        (tmp_path / name).touch()
    files.remove(tmp_path / "a")
    files.remove(tmp_path / "a")
    assert os.listdir(tmp_path) == ["ab"]


def test_an_old_log_is_not_played_into_the_new_file(tmp_path: Path) -> None:
    """The old index was killed: its log holds rows that its file has not."""
    dying = index_at(tmp_path / "dying", 1, 2)
    for ending in ("", "-wal"):
        (tmp_path / f"old{ending}").write_bytes((tmp_path / f"dying{ending}").read_bytes())
    dying.close()
    index_at(tmp_path / "new", 3).close()
    files.replace(tmp_path / "old", tmp_path / "new")
    assert slots(tmp_path / "old") == [3]
    assert sorted(os.listdir(tmp_path)) == ["dying", "old"]


def test_the_old_index_is_whole_without_its_log_before_the_log_goes(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut between the two steps: the old file alone has everything."""
    dying = index_at(tmp_path / "dying", 1, 2)
    for ending in ("", "-wal"):
        (tmp_path / f"old{ending}").write_bytes((tmp_path / f"dying{ending}").read_bytes())
    dying.close()
    index_at(tmp_path / "new", 3).close()

    def power_cut(*_names: Path) -> None:
        raise OSError(5, "power cut")

    monkeypatch.setattr(os, "rename", power_cut)
    with pytest.raises(IndexUnavailable, match="power cut"):
        files.replace(tmp_path / "old", tmp_path / "new")
    assert not (tmp_path / "old-wal").exists()
    assert slots(tmp_path / "old") == [1, 2]
    assert slots(tmp_path / "new") == [3]


def test_an_index_in_use_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(files.connect.__globals__["COMMON"], "busy_timeout", 50)
    used = index_at(tmp_path / "old", 1)
    reader = apsw.Connection(str(tmp_path / "old"))
    reader.execute("BEGIN").execute("SELECT count(*) FROM instances").fetchall()
    used.add(make(2))
    index_at(tmp_path / "new", 3).close()
    with pytest.raises(IndexUnavailable, match="another process uses"):
        files.replace(tmp_path / "old", tmp_path / "new")
    reader.close()
    used.close()
    assert slots(tmp_path / "old") == [1, 2]
