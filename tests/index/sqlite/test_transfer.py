from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from dicomserver.index import (
    IndexDamaged,
    IndexFull,
    IndexUnavailable,
    begin_copy,
    open_index,
    open_source,
    open_target,
)
from dicomserver.index.sqlite import connection, transfer
from dicomserver.index.sqlite.schema import STEPS
from tests.index.samples import make
from tests.index.transferring import fill, move


@pytest.fixture
def source(tmp_path: Path) -> str:
    url = f"sqlite://{tmp_path}/source.db"
    with closing(open_index(url)) as index:
        index.add(make(1))
        index.mark_complete()
    return url


def schema(path: Path) -> list[tuple]:
    with closing(apsw.Connection(str(path))) as opened:
        assert opened.execute("PRAGMA foreign_key_check").fetchall() == []
        assert opened.execute("PRAGMA integrity_check").get == "ok"
        return opened.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2").fetchall()


def test_a_copy_has_the_schema_of_any_index(tmp_path: Path) -> None:
    fill(f"sqlite://{tmp_path}/source.db")
    move(f"sqlite://{tmp_path}/source.db", f"sqlite://{tmp_path}/copy.db")
    assert schema(tmp_path / "copy.db") == schema(tmp_path / "source.db")
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "source.db"]


def test_a_source_is_there_and_of_this_version(source: str, tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match=f"there is no index {tmp_path}/absent.db"):
        open_source(f"sqlite://{tmp_path}/absent.db")
    assert not (tmp_path / "absent.db").exists()
    with closing(apsw.Connection(str(tmp_path / "source.db"))) as changing:
        changing.pragma("user_version", len(STEPS) - 1)
    with pytest.raises(IndexUnavailable, match="not of this version"):
        open_source(source)


def test_nobody_else_has_the_target_open(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.COMMON, "busy_timeout", 0)
    with closing(open_index(url)), pytest.raises(IndexUnavailable, match="another process uses /"):
        open_target(url)
    with closing(open_target(url)), pytest.raises(IndexUnavailable, match="BUSY"):
        open_index(url)


def test_an_index_is_no_copy_of_itself(source: str) -> None:
    with pytest.raises(IndexUnavailable, match="another process"), closing(open_index(source)):
        open_target(source)


def test_a_target_of_an_earlier_version_is_begun_anew(source: str, url: str, tmp_path: Path) -> None:
    with closing(open_source(source)) as one, closing(open_target(url)) as other:
        begin_copy(other, one, replace=False)
    with closing(apsw.Connection(str(tmp_path / "index.db"))) as changing:
        changing.pragma("user_version", len(STEPS) - 1)
        changing.execute("DROP TABLE arrivals")
    assert [passed.changes > 0 for passed in move(source, url)] == [True, False]


@pytest.mark.parametrize("name", ["theirs", "text"])
def test_what_is_no_index_is_left_alone(tmp_path: Path, name: str) -> None:
    if name == "text":
        (tmp_path / name).write_text("not a database, but of some length " * 20)
    else:
        with closing(apsw.Connection(str(tmp_path / name))) as theirs:
            theirs.execute("CREATE TABLE theirs (x)")
    with pytest.raises(IndexDamaged):
        open_target(f"sqlite://{tmp_path}/{name}")
    assert (tmp_path / name).read_bytes().count(b"not a database" if name == "text" else b"theirs") > 0


def test_a_full_disk_ends_it_and_it_goes_on_later(source: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(transfer._SETTINGS, "max_page_count", 60)
    with closing(open_index(source)) as index:
        index.add_many(make(number, study=f"2.{number}") for number in range(2, 500))
    with pytest.raises(IndexFull):
        move(source, url)
    monkeypatch.undo()
    assert move(source, url)[-1].counts.instances == 499
