"""The oracle convicts: each rule that it knows is broken on purpose here, and the table must notice."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.find import elements, entities, oracle, values
from tests.interop.find.group import instances, query, runs
from tests.interop.find.keys import dataset
from tests.interop.find.oracle import PATIENT_ROOT, STUDY_ROOT, Oracle
from tests.interop.find.table import GROUPS, KEPT
from tests.interop.find.test_table import oracle_says

STUDY = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "PatientID": "P", "StudyInstanceUID": "1.2"}


def disagreements(rule: str) -> Iterator[str]:
    """What oracle and table say differently in the groups whose rules begin like this."""
    for number, group in enumerate(GROUPS, 1):
        if not group.rule.startswith(rule):
            continue
        judge = Oracle([dataset(one) for _, one in instances(number, group)], KEPT)
        for run in runs(group):
            for keys, found in group.asked:
                said = oracle_says(judge.ask(run.model, run.level, dataset(query(number, group, keys)),
                                             relational=run.relational, combined=group.combined), number, group)
                if said != found:
                    yield f"{group.rule}: {keys}: {said} for {found}"



# What is broken -> (rule of the table that convicts it, module, name, what stands there instead).
BROKEN: dict[str, tuple[str, object, str, object]] = {
    "names are case-sensitive": ("names: case", values, "folded", lambda group: group.strip().rstrip("^ ")),
    "names keep their accents": ("names: accents", values, "folded", lambda group: group.casefold().strip()),
    "only the alphabetic group counts": (
        "names: component", values, "_groups", lambda name: [values.folded(name.split("=")[0])]),
    "a name matches by its beginning": (
        "names: trailing", values, "_alike", lambda pattern: lambda text: text.startswith(pattern.strip("*"))),
    "wildcards everywhere": ("ages", values, "WILDCARDS", values.WILDCARDS | {"AS"}),
    "wildcards nowhere": ("text: wildcards", values, "WILDCARDS", set()),
    "patterns are regular expressions": ("text: literal", values.re, "escape", str),
    "long text is split": ("long text", elements, "ONE_VALUE", set()),
    "lists are one value": ("text: single", values, "ONE_VALUE", {"SH"}),
    "numbers are text": ("integers", values, "NUMBERS", set()),
    "universal is nothing special": ("text: wildcards", values, "is_universal", lambda vr, asked: asked == ""),
    "an asterisk means all UIDs": ("UIDs", values, "is_universal", lambda vr, asked: asked in ("", "*")),
    "empty value is text": ("empty value", values, "EMPTY_VALUE", "''"),
    "ranges are without their ends": (
        "dates", values, "_ordered", lambda first, one, second, other: first < second),
    "zones are ignored": ("moments", values, "_ordered", lambda first, one, second, other: first <= second),
    "dates and times are never combined": ("combined", oracle, "_pairs", lambda keys: []),
    "a single day is a range": ("combined", oracle, "is_range", lambda vr, asked: True),
    "the first item speaks for the sequence": (
        "sequences", entities.Entity, "items",
        lambda self, tag, level: [(one.items if (one := self._speaker(level).elements.get(tag)) else ())][0][:1]),
    "keys of an item match in several ones": (
        "sequences", entities.Entity, "items",
        lambda self, tag, level: [sum((one.items if (one := self._speaker(level).elements.get(tag)) else ()), ())]),
}


@pytest.fixture
def forgetful() -> Iterator[None]:
    """What the oracle remembers of values is forgotten before and after."""
    caches = [values._groups, values.period]
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.parametrize("broken", BROKEN)
def test_the_table_convicts_what_is_broken(broken: str, forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, where, name, instead = BROKEN[broken]
    assert next(disagreements(rule), None) is None
    values._groups.cache_clear()
    monkeypatch.setattr(where, name, instead)
    assert next(disagreements(rule), None) is not None


def one(**elements_: object) -> object:
    """A dataset of the study that the tests below are about."""
    return dataset(STUDY | elements_)


FAMILY = [one(SeriesInstanceUID="1.2.1", SOPInstanceUID="1.2.1.1", Modality="CT", PatientName="First"),
          one(SeriesInstanceUID="1.2.1", SOPInstanceUID="1.2.1.2", Modality="CT", PatientName="Second"),
          one(SeriesInstanceUID="1.2.2", SOPInstanceUID="1.2.2.1", Modality="SR"),
          one(StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1", SOPInstanceUID="1.3.1.1", Modality="MR",
              PatientName="Third"),
          one(PatientID="", StudyInstanceUID="1.4", SeriesInstanceUID="1.4.1", SOPInstanceUID="1.4.1.1"),
          one(PatientID="P", IssuerOfPatientID="Q", StudyInstanceUID="1.5", SeriesInstanceUID="1.5.1",
              SOPInstanceUID="1.5.1.1")]


@pytest.mark.parametrize("level, keys, found", [
    ("STUDY", {}, {"1.2", "1.3", "1.4", "1.5"}),
    ("STUDY", {"ModalitiesInStudy": "SR"}, {"1.2"}),
    ("STUDY", {"ModalitiesInStudy": "?R"}, {"1.2", "1.3"}),
    ("STUDY", {"NumberOfStudyRelatedInstances": "3"}, {"1.2"}),
    ("STUDY", {"NumberOfStudyRelatedSeries": "01"}, {"1.3", "1.4", "1.5"}),
    ("STUDY", {"NumberOfPatientRelatedStudies": "2"}, {"1.2", "1.3"}),
    ("STUDY", {"PatientName": "first"}, {"1.2"}),
    ("STUDY", {"PatientName": "second"}, set()),
    ("STUDY", {"PatientName": "third"}, {"1.3"}),
    ("PATIENT", {"PatientName": "third"}, set()),
    ("PATIENT", {"PatientID": "P"}, {"P", "Q"}),
    ("PATIENT", {"IssuerOfPatientID": "Q"}, {"Q"}),
    ("SERIES", {"StudyInstanceUID": "1.2"}, {"1.2.1", "1.2.2"}),
    ("IMAGE", {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.1"}, {"1.2.1.1", "1.2.1.2"}),
])
def test_who_speaks_for_whom(level: str, keys: dict, found: set[str]) -> None:
    model = PATIENT_ROOT if level == "PATIENT" else STUDY_ROOT
    said = Oracle(FAMILY, KEPT).ask(model, level, dataset(keys)).found
    assert {[part for part in identity if part][-1] for identity in said} == found


def test_patients_with_and_without_an_id() -> None:
    """The same ID of another issuer is somebody else; so is whoever has none."""
    assert Oracle(FAMILY, KEPT).ask(PATIENT_ROOT, "PATIENT", dataset({})).found == {
        ("P", ""), ("", "", "1.4"), ("P", "Q")}
