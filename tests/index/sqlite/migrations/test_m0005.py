from __future__ import annotations

from contextlib import closing
from pathlib import Path

from dicomserver.index import open_index
from tests.index.samples import ask, make
from tests.index.sqlite.migrations.version_1 import make_version_1


def test_each_index_is_another_one_for_ever(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        make_version_1(tmp_path / name, [make(1)])
        for _ in range(2):
            with closing(open_index(f"sqlite://{tmp_path}/{name}")) as index:
                found.append(index.identity)
                assert ask(index, "SELECT origin FROM state") == [(None,)] and index.counts().instances == 1
    assert found[0] == found[1] != found[2] == found[3] and len(found[0]) == 32
