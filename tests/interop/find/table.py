"""The matching table: rule x level x stored value x query -> expected, and the datasets that it is about."""
from __future__ import annotations

from collections.abc import Iterator

from dicomserver.standard.attributes import INDEXED

from tests.interop.find import table_dates, table_names, table_sequences, table_text
from tests.interop.find.group import Group, Run, instances, runs
from tests.interop.find.keys import Keys
from tests.interop.find.oracle import Kept

GROUPS: list[Group] = [*table_text.GROUPS, *table_names.GROUPS, *table_dates.GROUPS, *table_sequences.GROUPS]

# What the index promises to keep: (sequence or 0, tag) -> number of the level.
KEPT: Kept = {(attribute.sequence, attribute.tag): int(attribute.level) for attribute in INDEXED}


def everything() -> list[Keys]:
    """The instances of all groups, in the order in which they are to be stored."""
    return [elements for number, group in enumerate(GROUPS, 1) for _, elements in instances(number, group)]


def cases() -> Iterator[tuple[int, Group, Run]]:
    """Each group by its number, in each way to ask its questions."""
    for number, group in enumerate(GROUPS, 1):
        for run in runs(group):
            yield number, group, run


def rows() -> int:
    """How many questions the table has, without regard to the models and levels at which each is asked."""
    return sum(len(group.asked) for group in GROUPS)


def cells() -> int:
    """Questions x stored values x ways to ask."""
    return sum(len(group.asked) * len(group.stored) for _, group, _ in cases())
