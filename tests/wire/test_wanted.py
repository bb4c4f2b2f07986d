"""The table of elements to keep: what is in it is kept, and nothing else."""
from __future__ import annotations

from collections import namedtuple

from dicomserver.standard.attributes import INDEXED
from dicomserver.wire.packed import unpack
from dicomserver.wire.scanner import DatasetScanner
from dicomserver.wire.wanted import Wanted
from tests.wire.test_scanner import GOOD

Attribute = namedtuple("Attribute", "tag sequence vr level")


def kept(*attributes) -> list[tuple[int, int]]:
    scanner = DatasetScanner(Wanted(attributes))
    scanner.feed(GOOD)
    scanner.finish()
    return [(e.sequence, e.tag) for level in range(scanner.values.wanted.levels)
            for e in unpack(scanner.values.packed(level))]


def test_an_empty_table_keeps_nothing():
    assert kept() == []


def test_only_what_is_wanted_is_kept_and_at_its_level():
    name, procedure = Attribute(0x00100010, 0, "PN", 1), Attribute(0x00401001, 0x00400275, "SH", 0)
    assert kept(name) == [(0, 0x00100010)]
    assert kept(name, procedure) == [(0x00400275, 0x00401001), (0, 0x00100010)]
    assert Wanted([name]).levels == 2


def test_the_same_tag_inside_and_outside_a_sequence_is_not_the_same():
    assert kept(Attribute(0x00401001, 0, "SH", 0)) == []


def test_every_indexed_attribute_is_in_the_table():
    table = Wanted(INDEXED)
    assert table.levels == 4
