"""A stored instance is read anew: every bit counts, and what the index says counts too."""
from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.checksum import xxh3_64
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing
from dicomserver.index import Stored
from tests.archive.files import CT, IMPLICIT_VR_LE, SERIES, STUDY, store

PIXELS = bytes(range(256)) * 16


@pytest.fixture
def stored(archive: Archive) -> Stored:
    """An instance, filed, as its row says."""
    waiting = store(archive, "1.1", PIXELS)
    archive.file_batch([waiting])
    return Stored(STUDY, SERIES, "1.1", CT, IMPLICIT_VR_LE, waiting.slot, waiting.file_length,
                  waiting.file_length - len(PIXELS), xxh3_64(PIXELS), 0, 0)


def path(archive: Archive) -> Path:
    return Path(archive.path, STUDY, SERIES, "1.1.dcm")


def digest(archive: Archive, stored: Stored) -> bytes:
    return archive.digest(stored, lambda octets: None)


READ = pytest.mark.parametrize("read", [Archive.verify, digest], ids=["verify", "digest"])


@READ
def test_a_whole_one(read: Callable, archive: Archive, stored: Stored) -> None:
    read(archive, stored)


@pytest.mark.parametrize("size", [0, 1, 1000, (1 << 20) - 1, 3 << 20])
def test_the_digest_is_of_the_whole_file(size: int, archive: Archive, stored: Stored) -> None:
    waiting = store(archive, "1.3", bytes(size))
    told: list[int] = []
    found = archive.digest(replace(stored, sop_instance_uid="1.3", slot=waiting.slot, checksum=xxh3_64(bytes(size)),
                                   file_length=waiting.file_length, dataset_offset=waiting.file_length - size),
                           told.append)
    content = Path(archive.path, "intake", f"{waiting.slot:016x}").read_bytes()
    assert found == hashlib.sha256(content).digest() and sum(told) == len(content) == waiting.file_length


def test_who_is_told_may_end_it(archive: Archive, stored: Stored) -> None:
    def stop(octets: int) -> None:
        raise InterruptedError(octets)
    with pytest.raises(InterruptedError):
        archive.digest(stored, stop)


def test_one_that_waits_for_the_mover(archive: Archive, stored: Stored) -> None:
    waiting = store(archive, "1.2", PIXELS)
    archive.verify(replace(stored, sop_instance_uid="1.2", slot=waiting.slot))


@pytest.mark.parametrize("at", [10, 50, 140, 200, -1, -2000])
@READ
def test_one_bit(read: Callable, at: int, archive: Archive, stored: Stored) -> None:
    content = bytearray(path(archive).read_bytes())
    content[at] ^= 1
    path(archive).write_bytes(content)
    with pytest.raises(InstanceDamaged):
        read(archive, stored)


@pytest.mark.parametrize("change", [{"checksum": 1}, {"file_length": 1}, {"dataset_offset": 1}, {"slot": 1}])
@READ
def test_the_index_says_something_else(read: Callable, change: dict, archive: Archive, stored: Stored) -> None:
    with pytest.raises(InstanceDamaged):
        read(archive, replace(stored, **change))


@READ
def test_a_file_that_is_not_there(read: Callable, archive: Archive, stored: Stored) -> None:
    path(archive).unlink()
    with pytest.raises(InstanceMissing):
        read(archive, stored)


@READ
def test_one_that_was_cut_off(read: Callable, archive: Archive, stored: Stored) -> None:
    path(archive).write_bytes(path(archive).read_bytes()[:-1])
    with pytest.raises(InstanceDamaged):
        read(archive, stored)
