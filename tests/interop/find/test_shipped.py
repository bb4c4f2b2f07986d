"""pydicom's own files: each is found by its UIDs at every level and by every value of its own that the index keeps."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.interop.find.asker import Asker
from tests.interop.find.elements import Element, elements_of
from tests.interop.find.keys import IMPLICIT, Keys, dataset
from tests.interop.find.oracle import LEVELS, PATIENT_ROOT, Oracle
from tests.interop.find.table import KEPT
from tests.interop.find.values import NUMBERS, Unreadable, matcher, number_of
from tests.interop.installed import Installed
from tests.interop.sender import Sender
from tests.interop.stored import Sent, sent_of
from tests.interop.test_shipped import REFUSED, to_send

LEAST_INSTANCES, LEAST_QUESTIONS = 110, 1500
NAMES = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
LONGEST = 1000      # bytes; longer values may be cut in the index


def sendable() -> list[tuple[Sent, Path]]:
    """Each instance once; some are there in several encodings."""
    paths = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: path
             for path in reversed(to_send()) if path.name not in REFUSED}
    return [(sent_of(path), path) for path in paths.values()]


@pytest.fixture(scope="module")
def files() -> list[tuple[Sent, Path]]:
    return sendable()


@pytest.fixture(scope="module")
def oracle(files: list[tuple[Sent, Path]]) -> Oracle:
    return Oracle([pydicom.dcmread(path, stop_before_pixels=True) for _, path in files], KEPT)


@pytest.fixture(scope="module")
def asker(shared: Installed, files: list[tuple[Sent, Path]]) -> Iterator[Asker]:
    """On a server that has all of them."""
    for sent, _ in files:
        with Sender(shared.port, [(sent.sop_class, [sent.transfer_syntax])]) as association:
            assert association.store(1, sent.sop_class, sent.sop_instance, sent.dataset).status == 0, sent.name
    with Asker(shared.port, PATIENT_ROOT, IMPLICIT, b"\1") as association:
        yield association


def questions(element: Element) -> Iterator[str]:
    """The value as it is, if somebody can read it."""
    if not element.text or len(element.text.encode()) >= LONGEST or "\N{REPLACEMENT CHARACTER}" in element.text:
        return
    if element.vr == "PN" and not element.text.strip("^= "):
        return
    if element.vr in NUMBERS and None in map(number_of, element.values):
        return
    try:
        matcher(element.vr, element.text)
    except Unreadable:
        return
    yield element.text


def asked(files: list[tuple[Sent, Path]]) -> dict[tuple[str, str, str], Keys]:
    """(level, keyword, value) -> keys: each value of each entity is asked for once."""
    found: dict[tuple[str, str, str], Keys] = {}
    for sent, path in files:
        read = pydicom.dcmread(path, stop_before_pixels=True)
        for element in elements_of(read):
            number = KEPT.get((0, element.tag), len(LEVELS))
            if number == len(LEVELS) or element.keyword in ("SpecificCharacterSet", "AvailableTransferSyntaxUID"):
                continue
            uids = {"StudyInstanceUID": sent.study, "SeriesInstanceUID": sent.series,
                    "SOPInstanceUID": sent.sop_instance}
            own = dict(list(uids.items())[:number])
            for value in questions(element):
                keys = {"SpecificCharacterSet": "ISO_IR 192", **dict.fromkeys(NAMES[:number + 1], ""), **own,
                        element.keyword: _written(element, value)}
                found[LEVELS[number], element.keyword, f"{list(own.values())[-1:]} {value}"] = keys
    return found


def _written(element: Element, value: str) -> str | list[int]:
    return [int(number) for number in value.split("\\")] if element.vr in ("US", "SS", "UL", "SL") else value


def test_there_are_as_many_as_we_say(files: list[tuple[Sent, Path]]) -> None:
    assert len(files) >= LEAST_INSTANCES
    assert len(asked(files)) >= LEAST_QUESTIONS


def test_the_oracle_finds_each_by_each_of_its_values(files: list[tuple[Sent, Path]], oracle: Oracle) -> None:
    """Who speaks for a study or a patient may have said something else: they are found by what he said."""
    for (level, keyword, value), keys in asked(files).items():
        found = oracle.ask(PATIENT_ROOT, level, dataset(keys), relational=True).found
        assert found or level != "IMAGE", (level, keyword, value)


@pytest.mark.parametrize("level", LEVELS[1:])
def test_found_by_uid(level: str, asker: Asker, files: list[tuple[Sent, Path]]) -> None:
    name = NAMES[LEVELS.index(level)]
    for uid in {{"STUDY": sent.study, "SERIES": sent.series, "IMAGE": sent.sop_instance}[level] for sent, _ in files}:
        assert (uid,) in asker.find(level, {name: uid}).values(name)


@pytest.mark.parametrize("level", LEVELS)
def test_found_by_each_of_its_values(level: str, asker: Asker, files: list[tuple[Sent, Path]], oracle: Oracle) -> None:
    """As the oracle says: at least the entity whose value it is, and whoever has the same."""
    wrong = []
    for (at, keyword, value), keys in asked(files).items():
        if at != level:
            continue
        expected = oracle.ask(PATIENT_ROOT, level, dataset(keys), relational=True)
        answer = asker.find(level, keys)
        name = NAMES[LEVELS.index(level)]
        part = 0 if level == "PATIENT" else -1
        if answer.values(name) != sorted((identity[part],) for identity in expected.found):
            wrong.append((keyword, value))
    assert wrong == []
