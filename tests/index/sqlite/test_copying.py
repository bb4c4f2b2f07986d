from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from dicomserver.index import Index, IndexDamaged, IndexFault, IndexUnavailable
from dicomserver.index.sqlite import copying
from dicomserver.index.sqlite.copying import SqliteCopy, copy
from dicomserver.index.sqlite.engine import SqliteFile
from tests.index.samples import STUDY_DESCRIPTION, make


@pytest.fixture
def index(tmp_path: Path):
    opened = Index(SqliteFile(tmp_path / "index.db"))
    opened.add_many(make(number) for number in range(1, 4001))
    yield opened
    opened.close()


def uids(index: Index) -> list[str]:
    return [row.sop_instance_uid for row in index.select()]


def test_is_the_index_of_one_moment_while_others_write(index: Index, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two parts of it rows come and go."""
    monkeypatch.setattr(copying, "PAGES_AT_ONCE", 8)
    before, number, steps = uids(index), 5000, 0

    def write() -> None:
        nonlocal number, steps
        steps += 1
        index.add(make(number))
        index.remove([f"1.2.3.1.{number - 4999}"], [number - 4999])
        index.checkpoint()
        number += 1

    copy(tmp_path / "index.db", tmp_path / "copy", write)
    assert steps > 10
    copied = Index(SqliteCopy(tmp_path / "copy"))
    assert uids(copied) == before != uids(index)
    assert copied.counts().instances == 4000 and copied.find("1.2.3.1.1") is not None and copied.find("9") is None
    copied.close()
    assert oct(os.stat(tmp_path / "copy").st_mode & 0o777) == "0o600"


def test_what_is_committed_and_not_yet_in_the_file_is_in_it(index: Index, tmp_path: Path) -> None:
    index.add(make(9999))
    copy(tmp_path / "index.db", tmp_path / "copy", lambda: None)
    assert Index(SqliteCopy(tmp_path / "copy")).find("1.2.3.1.9999") is not None


def test_it_opens_as_an_index_again(index: Index, tmp_path: Path) -> None:
    copy(tmp_path / "index.db", tmp_path / "copy", lambda: None)
    again = Index(SqliteFile(tmp_path / "copy"))
    assert again.add(make(9999)) is None and len(uids(again)) == 4001
    again.close()


def test_memory_is_flat(index: Index, tmp_path: Path) -> None:
    """SQLite's own memory, for 16 MB."""
    index.add_many(make(number, of_instance={STUDY_DESCRIPTION: bytes(8000)}) for number in range(5000, 7000))
    before = apsw.memory_used()
    apsw.memory_high_water(True)
    copy(tmp_path / "index.db", tmp_path / "copy", lambda: None)
    assert (tmp_path / "copy").stat().st_size > 16_000_000
    assert apsw.memory_high_water(False) - before < 4 << 20


def test_who_is_told_can_end_it(index: Index, tmp_path: Path) -> None:
    """And then a server can open the index anew."""
    def end() -> None:
        raise KeyboardInterrupt
    index.add(make(9999))
    with pytest.raises(KeyboardInterrupt):
        copy(tmp_path / "index.db", tmp_path / "copy", end)
    index.close()
    Index(SqliteFile(tmp_path / "index.db")).close()


def test_places_that_will_not_do(index: Index, tmp_path: Path) -> None:
    with pytest.raises(IndexFault):
        copy(tmp_path / "none.db", tmp_path / "copy", lambda: None)
    with pytest.raises(IndexFault):
        copy(tmp_path / "index.db", tmp_path / "none" / "copy", lambda: None)


def test_a_copy_is_only_read(index: Index, tmp_path: Path) -> None:
    copy(tmp_path / "index.db", tmp_path / "copy", lambda: None)
    before = (tmp_path / "copy").read_bytes()
    copied = Index(SqliteCopy(tmp_path / "copy"))
    for change in (lambda: copied.remove(["1.2.3.1.1"], [1]), copied.make_durable, copied.checkpoint,
                   copied.mark_complete, lambda: copied.add(make(7777))):
        with pytest.raises(IndexUnavailable):
            change()
    copied.close()
    assert (tmp_path / "copy").read_bytes() == before and not list(tmp_path.glob("copy-*"))


def test_a_damaged_copy(index: Index, tmp_path: Path) -> None:
    copy(tmp_path / "index.db", tmp_path / "copy", lambda: None)
    octets = bytearray((tmp_path / "copy").read_bytes())
    octets[8192:40960] = bytes(32768)
    (tmp_path / "copy").write_bytes(octets)
    with pytest.raises(IndexDamaged):
        SqliteCopy(tmp_path / "copy")
    (tmp_path / "text").write_text("no database" * 1000)
    with pytest.raises(IndexDamaged):
        SqliteCopy(tmp_path / "text")
