from __future__ import annotations

import pytest

from dicomserver.index.search.query import Elements, Query, computed_column, packed_column
from dicomserver.standard.attributes import Level
from dicomserver.wire.packed import Element, pack, unpack

NAME, COMMENTS, ROWS, OTHER_IDS, ID = 0x00100010, 0x00104000, 0x00280010, 0x00101002, 0x00100020


@pytest.mark.parametrize("level, column", [
    (Level.PATIENT, 0), (Level.STUDY, 2), (Level.SERIES, 4), (Level.INSTANCE, 6)])
def test_where_a_level_stands(level: Level, column: int) -> None:
    assert packed_column(level) == column
    query = Query(level, (), (0x00201200, 0x00080061))
    assert [computed_column(query, tag) for tag in query.computed] == [column + 2, column + 3]


@pytest.fixture
def elements() -> Elements:
    return Elements(unpack(pack([
        Element(NAME, 0, 0, "PN", b"A\\B "), Element(NAME, 0, 0, "PN", b"again"), Element(COMMENTS, 0, 0, "LT",
        b"x\\y"),
        Element(ROWS, 0, 0, "US", b"\0\2"), Element(0x00100040, 0, 0, "CS", b""),
        Element(ID, OTHER_IDS, 0, "LO", b"\xc4"), Element(ID, OTHER_IDS, 2, "LO", b"3")])), b"ISO_IR 100")


@pytest.mark.parametrize("place, values", [
    ((NAME,), ["A", "B"]), ((COMMENTS,), ["x\\y"]), ((ROWS,), ["512"]), ((0x00100040,), []), ((0x00100030,), []),
    ((ID,), []), ((ID, OTHER_IDS, 0), ["Ä"]), ((ID, OTHER_IDS, 1), []), ((ID, OTHER_IDS, 2), ["3"])])
def test_values_of_elements(elements: Elements, place: tuple[int, ...], values: list[str]) -> None:
    """Of an element that is there twice the first counts."""
    assert elements.values(*place) == values


def test_items(elements: Elements) -> None:
    assert elements.items(OTHER_IDS) == {0, 2}
    assert elements.items(0x00081032) == set()
