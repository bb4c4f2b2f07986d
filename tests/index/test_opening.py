from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dicomserver.index import (
    Counts, IndexDamaged, IndexUnavailable, UnknownEngine, open_index, rebuild_index,
)
from tests.index.samples import fill, make, numbers


@pytest.mark.parametrize("url", [
    "postgre://me:secret@db/pacs", "", "sqlite:/x", "/x/index.db", "mysql://x", "memory"])
def test_other_schemes_are_one_clear_error(url: str) -> None:
    with pytest.raises(UnknownEngine, match="no index engine") as raised:
        open_index(url)
    assert "secret" not in str(raised.value)


def test_a_path_must_be_absolute() -> None:
    with pytest.raises(UnknownEngine, match="absolute"):
        open_index("sqlite://index.db")


def test_takes_the_path_literally(tmp_path: Path) -> None:
    name = "what%20is this?mode=memory#.db"
    open_index(f"sqlite://{tmp_path}/{name}").close()
    assert os.listdir(tmp_path) == [name]


def test_keeps_what_was_added_when_opened_again(url: str) -> None:
    index = open_index(url)
    index.add(make(1))
    index.close()
    index = open_index(url)
    assert index.find("1.2.3.1.1").slot == 1
    assert index.add(make(2)) is None
    assert index.counts() == Counts(1, 1, 1, 2)
    index.close()


def test_is_fresh_until_somebody_has_filled_it(url: str) -> None:
    index = open_index(url)
    assert index.is_fresh
    index.add(make(1))
    index.close()  # as after a first filling that was cut short
    index = open_index(url)
    assert index.is_fresh
    index.mark_complete()
    assert not index.is_fresh
    index.close()
    index = open_index(url)
    assert not index.is_fresh
    index.close()


def test_files_are_for_the_owner_only(url: str, tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        index = open_index(url)
        index.add(make(1))
        assert sorted(os.listdir(tmp_path)) == ["index.db", "index.db-shm", "index.db-wal"]
        for name in os.listdir(tmp_path):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        index.close()
    finally:
        os.umask(mask)
    assert os.listdir(tmp_path) == ["index.db"]


def test_no_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match="No such file or directory"):
        open_index(f"sqlite://{tmp_path}/none/index.db")


def test_something_else_is_damaged(url: str, tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(IndexDamaged, match="SQLITE_NOTADB"):
        open_index(url)


def test_rebuilding_puts_the_new_index_in_the_place_of_the_old(url: str, tmp_path: Path) -> None:
    fill(url, 1, 2)
    with rebuild_index(url) as index:
        assert index.is_fresh
        index.add_many([make(3), make(4), make(5)])
        assert numbers(url) == [1, 2]
    assert os.listdir(tmp_path) == ["index.db"]
    assert numbers(url) == [3, 4, 5]
    index = open_index(url)
    assert not index.is_fresh
    index.close()


def test_rebuilding_where_nothing_was(url: str, tmp_path: Path) -> None:
    with rebuild_index(url) as index:
        index.add(make(3))
    assert os.listdir(tmp_path) == ["index.db"]
    assert numbers(url) == [3]


def test_a_rebuild_that_fails_leaves_the_old_index(url: str, tmp_path: Path) -> None:
    fill(url, 1)
    with pytest.raises(KeyError), rebuild_index(url) as index:
        index.add(make(3))
        raise KeyError
    assert os.listdir(tmp_path) == ["index.db"]
    assert numbers(url) == [1]


def test_a_rebuild_begins_anew_after_one_that_died(url: str, tmp_path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"index.db.new{ending}").write_bytes(b"left over")
    with rebuild_index(url) as index:
        index.add(make(3))
    assert numbers(url) == [3]


def test_rebuilds_what_is_damaged(url: str, tmp_path: Path) -> None:
    fill(url, 1)
    (tmp_path / "index.db").write_bytes(b"\xff" * 8192)
    (tmp_path / "index.db-wal").write_bytes(b"\xff" * 8192)
    with rebuild_index(url) as index:
        index.add(make(3))
    assert numbers(url) == [3]


def test_memory_is_not_rebuilt() -> None:
    with pytest.raises(UnknownEngine), rebuild_index("memory:"):
        raise AssertionError("nothing to fill")
