"""Patients, studies, series and instances, gathered from the instances that are stored."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from pydicom.dataset import Dataset

from tests.interop.find.elements import Element, elements_of

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
UNIQUE_KEYS = {"PATIENT": 0x00100020, "STUDY": 0x0020000D, "SERIES": 0x0020000E, "IMAGE": 0x00080018}
LEVEL, CHARACTER_SET, ISSUER = 0x00080052, 0x00080005, 0x00100021

# Computed attributes: (the level that has them, the level whose entities they count).
COUNTS = {0x00201200: (0, 1), 0x00201202: (0, 2), 0x00201204: (0, 3), 0x00201206: (1, 2), 0x00201208: (1, 3),
          0x00201209: (2, 3)}
# ModalitiesInStudy, SOPClassesInStudy: (the level that has them, the attribute that they gather).
GATHERED = {0x00080061: (1, 0x00080060), 0x00080062: (1, 0x00080016)}


class Instance:
    """A stored dataset, its elements read once."""

    def __init__(self, dataset: Dataset) -> None:
        self.elements = {element.tag: element for element in elements_of(dataset)}
        patient, study, series, instance = (self._first(UNIQUE_KEYS[level]) for level in LEVELS)
        self._ids = ((patient, self._first(ISSUER)), (study,), (study, series), (instance,))

    def identity(self, level: int) -> tuple[str, ...]:
        """What tells the entity of a level from others. Who has no Patient ID is nobody else."""
        identity = self._ids[level]
        return ("", "", *self._ids[1]) if level == 0 and not identity[0] else identity

    def values(self, tag: int) -> Sequence[str]:
        """None where the attribute is absent or empty."""
        return self.elements[tag].values if tag in self.elements else ()

    def _first(self, tag: int) -> str:
        return "".join(self.values(tag)[:1])


class Entity:
    """All that is stored of one patient, study, series or instance; its first instance speaks for it."""

    def __init__(self, own: Sequence[Instance], level: int, gathered: Sequence[Gathered]) -> None:
        self._level = level
        self.identity = own[0].identity(level)
        # The instances of this entity and of each one above it.
        self._within = [gathered[above][own[0].identity(above)] for above in range(level + 1)]

    def values(self, tag: int, level: int) -> Sequence[str]:
        """Of an attribute that belongs to `level`, the entity's own or one above."""
        if tag in COUNTS:
            return (str(len({one.identity(COUNTS[tag][1]) for one in self._within[level]})),)
        if tag in GATHERED:
            return sorted({value for one in self._within[level] for value in one.values(GATHERED[tag][1])})
        return self._speaker(level).values(tag)

    def first(self, tag: int, level: int) -> str:
        """The first value, or an empty one."""
        return "".join(self.values(tag, level)[:1])

    def items(self, tag: int, level: int) -> Sequence[Sequence[Element]]:
        """Of a sequence that belongs to `level`."""
        element = self._speaker(level).elements.get(tag)
        return element.items if element else ()

    def _speaker(self, level: int) -> Instance:
        """A patient's attributes are those that the study itself has of him, but where patients are asked for."""
        return self._within[max(level, min(1, self._level))][0]


Gathered = Mapping[tuple[str, ...], Sequence[Instance]]


def entities(instances: Sequence[Instance]) -> list[list[Entity]]:
    """Those of each level, in the order in which they came."""
    gathered: list[dict[tuple[str, ...], list[Instance]]] = [{} for _ in LEVELS]
    for level, instance in product(range(len(LEVELS)), instances):
        gathered[level].setdefault(instance.identity(level), []).append(instance)
    return [[Entity(own, level, gathered) for own in by_identity.values()]
            for level, by_identity in enumerate(gathered)]
