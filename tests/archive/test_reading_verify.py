"""A stored instance is read anew: every bit counts, and what the index says counts too."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing
from dicomserver.archive.writer import xxh3_64
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


def test_a_whole_one(archive: Archive, stored: Stored) -> None:
    archive.verify(stored)


def test_one_that_waits_for_the_mover(archive: Archive, stored: Stored) -> None:
    waiting = store(archive, "1.2", PIXELS)
    archive.verify(replace(stored, sop_instance_uid="1.2", slot=waiting.slot))


@pytest.mark.parametrize("at", [10, 50, 140, 200, -1, -2000])
def test_one_bit(at: int, archive: Archive, stored: Stored) -> None:
    content = bytearray(path(archive).read_bytes())
    content[at] ^= 1
    path(archive).write_bytes(content)
    with pytest.raises(InstanceDamaged):
        archive.verify(stored)


@pytest.mark.parametrize("change", [{"checksum": 1}, {"file_length": 1}, {"dataset_offset": 1}, {"slot": 1}])
def test_the_index_says_something_else(change: dict, archive: Archive, stored: Stored) -> None:
    with pytest.raises(InstanceDamaged):
        archive.verify(replace(stored, **change))


def test_a_file_that_is_not_there(archive: Archive, stored: Stored) -> None:
    path(archive).unlink()
    with pytest.raises(InstanceMissing):
        archive.verify(stored)


def test_one_that_was_cut_off(archive: Archive, stored: Stored) -> None:
    path(archive).write_bytes(path(archive).read_bytes()[:-1])
    with pytest.raises(InstanceDamaged):
        archive.verify(stored)
