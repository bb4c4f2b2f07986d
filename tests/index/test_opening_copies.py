from __future__ import annotations

from pathlib import Path

import pytest

from dicomserver.index import UnknownEngine, copy_index, files_of, open_copy, open_index, without_secrets
from tests.index.samples import make


def test_a_file_is_copied_and_opened(url: str, tmp_path: Path) -> None:
    index = open_index(url)
    index.add(make(1))
    assert copy_index(url, tmp_path / "copy", lambda: None)
    index.close()
    copied = open_copy(tmp_path / "copy")
    assert [row.slot for row in copied.select()] == [1]
    copied.close()


def test_memory_has_no_copy_and_no_files(tmp_path: Path) -> None:
    assert not copy_index("memory:", tmp_path / "copy", lambda: None) and files_of("memory:") == []
    assert not (tmp_path / "copy").exists()


def test_the_files_of_one() -> None:
    assert list(map(str, files_of("sqlite:///d/x.db"))) == ["/d/x.db", "/d/x.db-wal", "/d/x.db-shm"]
    with pytest.raises(UnknownEngine):
        files_of("mysql://u:secret@h/d")


def test_postgresql_has_no_copy_and_no_files(tmp_path: Path) -> None:
    url = "postgres://u:secret@h/d"
    assert files_of(url) == [] and not copy_index(url, tmp_path / "copy", lambda: None)
    assert without_secrets(url) == "postgresql://" and without_secrets("sqlite:///x.db") == "sqlite:///x.db"
    assert files_of(without_secrets(url)) == []
