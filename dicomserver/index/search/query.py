"""A query as the index takes it, and the rows that it gives."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dicomserver.index.search.criteria import Criterion, Within
from dicomserver.index.search.keys import values_of
from dicomserver.standard.attributes import Attribute, Level


@dataclass(frozen=True, slots=True)
class Condition:
    """An attribute of the entity's level, or of one above, and what it must match."""

    attribute: Attribute
    criterion: Criterion


@dataclass(frozen=True, slots=True)
class Moment:
    """Combined date-time matching (PS3.4 C.2.2.2.5.2): a date and the time that goes with it as one value."""

    date: Attribute
    time: Attribute
    criterion: Within       # of DT


@dataclass(frozen=True, slots=True)
class ItemCondition:
    """Sequence matching: within one and the same item all of these must match."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """Entities of one level that meet all conditions. computed: the tags of standard.query.COMPUTED to be returned."""

    level: Level
    conditions: tuple[Condition | Moment | ItemCondition, ...] = ()
    computed: tuple[int, ...] = ()


def packed_column(level: Level) -> int:
    """Where in a row a level's raw (0008,0005) stands; its packed attributes are behind it. A row has both of every
    level down to the query's, then the computed values."""
    return 2 * level


def computed_column(query: Query, tag: int) -> int:
    """Where in a row a computed value stands: text, a number, or None."""
    return 2 * (query.level + 1) + query.computed.index(tag)


class Elements:
    """The kept elements of one level of one row, by sequence and item; `unpacked` as wire.packed gives them."""

    def __init__(self, unpacked: Sequence, character_set: bytes) -> None:
        self._values: dict[tuple[int, int, int], tuple[str, bytes]] = {}
        for element in unpacked:
            self._values.setdefault((element.sequence, element.item, element.tag), (element.vr, element.value))
        self._character_set = character_set

    def values(self, tag: int, sequence: int = 0, item: int = 0) -> list[str]:
        """As criteria take them."""
        vr, value = self._values.get((sequence, item, tag), ("", b""))
        return values_of(vr, value, self._character_set) if value else []

    def items(self, sequence: int) -> set[int]:
        """The numbers of a sequence's items of which something was kept."""
        return {item for within, item, _ in self._values if within == sequence}
