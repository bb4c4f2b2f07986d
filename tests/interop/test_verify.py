"""`dicom-server verify` against the installed server: what it names is what is damaged, and that is not handed out."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.installed import Installed
from tests.interop.retriever import GET, Retriever
from tests.interop.sender import Sender
from tests.interop.synthetic import CT, EXPLICIT, instance


def flip(path: Path, at: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[at] ^= 0x10
    path.write_bytes(octets)


@pytest.mark.parametrize("damage", [
    lambda path: flip(path, -1), lambda path: flip(path, 30), lambda path: flip(path, 200), Path.unlink,
    lambda path: path.write_bytes(path.read_bytes()[:-2])], ids=["dataset", "preamble", "meta", "missing", "cut"])
def test_one_of_three_is_damaged(install: Callable[..., Installed], damage: Callable[[Path], object]) -> None:
    server = install().start()
    several = [instance(1, number) for number in range(3)]
    with Sender(server.port, [(CT, [EXPLICIT])]) as association:
        for one in several:
            assert association.store(1, CT, one.sop_instance, one.dataset).status == 0
    server.filed(3)
    whole = server.run("verify", *server.where)
    assert whole.returncode == 0 and whole.stdout.startswith("Verified 3 instances, ")
    assert whole.stdout.endswith(": all whole\n")
    damage(server.data / several[1].path)
    done = server.run("verify", "--study", several[1].study, *server.where)
    said, total = done.stdout.splitlines()
    assert done.returncode == 1 and said.startswith(f"{several[1].sop_instance}: ")
    assert total.endswith(": 1 damaged or missing")
    with Retriever(server.port, GET["study"], [(CT, EXPLICIT)]) as asker:
        found = asker.get("STUDY", {"StudyInstanceUID": several[1].study})
    assert found.outcome == (0xB000, (None, 2, 1, 0)) and found.failed == [several[1].sop_instance]
    assert sorted(one.sop_instance for one in found.stored) == [several[0].sop_instance, several[2].sop_instance]
