"""What is kept of a dataset: its bounds, and what asking for what is not there gives. See test_scanner for the rest."""
from __future__ import annotations

import subprocess
import sys

import pytest

from dicomserver.standard.attributes import INDEXED
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.scanner import DatasetScanner
from dicomserver.wire.wanted import Wanted
from tests.wire.test_scanner import GOOD, IDENTITY, element

WANTED = Wanted(INDEXED)


def values_of(data: bytes):
    scanner = DatasetScanner(WANTED)
    scanner.feed(data)
    scanner.finish()
    return scanner.values


def test_an_empty_dataset_has_nothing():
    values = values_of(b"")
    assert values.identity == (None, None, None, None)
    assert values.character_set == b""
    assert values.declared_pixels == (0, None, None, 0, 0, 0)
    assert [values.packed(level) for level in range(4)] == [b""] * 4
    with pytest.raises(DatasetError):
        values.require_identity(*IDENTITY)


@pytest.mark.parametrize("level", [-1, 4])
def test_there_are_four_levels(level):
    with pytest.raises(IndexError):
        values_of(GOOD).packed(level)


def test_an_empty_value_is_not_an_absent_one():
    values = values_of(element(0x00080018, b"UI", b"") + element(0x00280008, b"IS", b""))
    assert values.identity == (None, b"", None, None)
    assert values.declared_pixels[2] == b""


def test_a_long_value_is_noted_only_so_far_that_its_length_can_be_judged():
    values = values_of(element(0x00080018, b"UI", b"1" * 65_000))
    assert values.identity[1] == b"1" * 66
    with pytest.raises(DatasetError, match="SOP Class UID is missing"):
        values.require_identity(*IDENTITY)


def test_padding_of_either_kind_is_no_part_of_a_uid():
    data = GOOD.replace(b"1.2.3.4\0", b"1.2.3.4 ")
    assert values_of(data).uids[1] == "1.2.3.4"
    values_of(data).require_identity(*IDENTITY)


COLLECTED = """
import gc
import sys
from pathlib import Path

from dicomserver.wire.scanner import DatasetScanner
from tests.wire.test_kept import WANTED
from tests.wire.test_scanner import element

gc.disable()
data = element(0x00081030, b"LO", b"x" * 60_000)


def collected(number):
    for _ in range(number):
        scanner = DatasetScanner(WANTED)
        scanner.feed(data)
        scanner.finish()
        cycle = [scanner.values]
        cycle.append(cycle)
    del scanner, cycle
    assert gc.collect() >= number
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


collected(200)
print(collected(2000) - collected(200))
"""


def test_what_the_garbage_collector_finds_in_a_circle_is_freed_whole():
    """It takes away what an object refers to before the object itself goes."""
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", COLLECTED], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert abs(int(ran.stdout)) < 60_000 * 1000
