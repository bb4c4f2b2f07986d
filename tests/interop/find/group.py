"""The form of the matching table: stored values by letter, and of each question the letters that it must find.

The letters of a group are entities of one level: patients, or studies of one patient, series of one study, instances
of one series. So every question can be asked at this level and, by the same letters, at every level below.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.interop.find.entities import LEVELS
from tests.interop.find.keys import Keys, Value
from tests.interop.find.oracle import MODELS, PATIENT_ROOT, PATIENT_STUDY_ONLY, STUDY_ROOT

ROOT = "1.2.826.0.1.3680043.9.17"
CT = "1.2.840.10008.5.1.4.1.1.2"
# The unique key of each level.
NAMES = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID",
         "IMAGE": "SOPInstanceUID"}


@dataclass(frozen=True, slots=True)
class Group:
    """stored: elements by letter. asked: keys, and the letters found or the status (`C000`) instead.

    combined: ask with combined date-time matching negotiated, too; without it where it is False.
    """

    rule: str
    level: str
    stored: Mapping[str, Keys]
    asked: Sequence[tuple[Keys, str]]
    combined: bool = False


def single(rule: str, level: str, keyword: str, stored: Mapping[str, Value | None],
           asked: Sequence[tuple[Value, str]]) -> Group:
    """A group about one attribute; None: an instance without it."""
    return Group(rule, level, {letter: {} if value is None else {keyword: value} for letter, value in stored.items()},
                 [({keyword: value}, found) for value, found in asked])


class Run(NamedTuple):
    """One way to ask the questions of a group."""

    model: str
    level: str
    relational: bool


def runs(group: Group) -> list[Run]:
    """At its own level in each model that has it, and with relational queries at every level below."""
    own = LEVELS.index(group.level)
    made = [Run(model, group.level, False) for model in (PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY_ONLY)
            if group.level in MODELS[model]]
    if group.level == "PATIENT":
        made.append(Run(STUDY_ROOT, "STUDY", False))
    return made + [Run(PATIENT_ROOT, level, True) for level in LEVELS[own + 1:]]


def instances(number: int, group: Group) -> Iterator[tuple[str, Keys]]:
    """(letter, elements of its instance) of the group that has this number in the table."""
    level = LEVELS.index(group.level)
    for position, (letter, elements) in enumerate(group.stored.items(), 1):
        patient, study, series = (position if level <= above else 1 for above in range(3))
        uid = f"{ROOT}.{number}.{patient}.{study}"
        yield letter, {
            "SpecificCharacterSet": "ISO_IR 192", "SOPClassUID": CT, "SOPInstanceUID": f"{uid}.{series}.{position}",
            "PatientID": f"T{number}-{letter}" if level == 0 else f"T{number}", "StudyInstanceUID": uid,
            "SeriesInstanceUID": f"{uid}.{series}", **elements}


def query(number: int, group: Group, keys: Keys) -> Keys:
    """The keys of a question together with those that keep it within its group, and the unique key of its level."""
    one = dict(next(iter(instances(number, group)))[1])
    within = {NAMES[level]: one[NAMES[level]] for level in LEVELS[:LEVELS.index(group.level)]}
    if group.level == "PATIENT":
        within = {"PatientID": f"T{number}-*"} if all("PatientID" not in held for held in group.stored.values()) else {}
    return {"SpecificCharacterSet": "ISO_IR 192", NAMES[group.level]: "", **within, **keys}
