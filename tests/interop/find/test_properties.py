"""Whatever is stored is found by each of its own attributes."""
from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.datadict import dictionary_VM, keyword_for_tag

from dicomserver.standard.attributes import INDEXED, Attribute
from tests.interop.find.asker import Asker, store
from tests.interop.find.entities import LEVELS
from tests.interop.find.keys import IMPLICIT, Keys, Value, dataset
from tests.interop.find.oracle import PATIENT_ROOT, Oracle
from tests.interop.find.table import KEPT
from tests.interop.find.values import EMPTY_VALUE
from tests.interop.installed import Installed

ROOT = "1.2.826.0.1.3680043.9.22"
CT = "1.2.840.10008.5.1.4.1.1.2"
EXAMPLES = 60
NAMES = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
# Given by the tests themselves, or by nobody.
_OTHERS = {*NAMES, "SOPClassUID", "SpecificCharacterSet", "AvailableTransferSyntaxUID", "IssuerOfPatientID"}
_NUMBERS = itertools.count(1)

# No escape, no delimiter of values; wildcards, quotes and letters of many scripts.
_LETTERS = st.one_of(st.sampled_from("*?%_[]'\";-^=.aAzZ09 éÉßñŁжЖΩά山田やヤﾔ홍שק ขπ"),
                     st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"))


def _text(longest: int) -> st.SearchStrategy[str]:
    return st.text(_LETTERS, min_size=1, max_size=longest).filter(
        lambda text: text.strip() not in ("", EMPTY_VALUE) and text.strip("^= "))


_UIDS = st.from_regex(r"[1-9][0-9]{0,4}(\.(0|[1-9][0-9]{0,4})){1,4}", fullmatch=True)
_DATES = st.dates().map(lambda day: f"{day:%Y%m%d}".rjust(8, "0"))
_TIMES = st.times().flatmap(lambda time: st.sampled_from(
    [f"{time:%H%M%S}", f"{time:%H%M%S.%f}", f"{time:%H%M}", f"{time:%H}", f"{time:%H%M%S}.5"]))
_OF_VR: dict[str, st.SearchStrategy[Value]] = {
    "PN": st.lists(_text(20).map(lambda text: text.replace("=", "")), min_size=1, max_size=3).map("=".join).filter(
        lambda name: name.replace("=", "").strip("^ ") and name != EMPTY_VALUE),
    "UI": _UIDS, "DA": _DATES, "TM": _TIMES,
    "DT": st.builds(lambda day, time: day + time, _DATES, _TIMES),
    "IS": st.integers(-(2**31), 2**31 - 1).map(str),
    "DS": st.one_of(st.integers(-9999, 9999).map(str), st.floats(-999, 999, width=16).map(lambda one: f"{one:.4f}")),
    "US": st.integers(0, 65535), "AS": st.from_regex(r"[0-9]{3}[DWMY]", fullmatch=True),
    "CS": st.text("ABC_ 019", min_size=1, max_size=16).filter(str.strip),
    "SH": _text(16), "LO": _text(60), "ST": _text(80), "LT": _text(80), "UT": _text(80),
}


def _values(attribute: Attribute) -> st.SearchStrategy[Value]:
    """One or several of them."""
    one = _OF_VR[attribute.vr.split(" or ")[0]]
    if dictionary_VM(attribute.tag) == "1" or attribute.vr == "US":
        return one
    return st.lists(one, min_size=1, max_size=3).map("\\".join)


PLAIN = [one for one in INDEXED if not one.sequence and one.keyword not in _OTHERS]
INSIDE = [one for one in INDEXED if one.sequence]
ELEMENTS = st.lists(st.sampled_from(PLAIN), max_size=8, unique=True).flatmap(
    lambda chosen: st.fixed_dictionaries({one.keyword: _values(one) for one in chosen}))
ITEMS = st.lists(st.sampled_from(INSIDE), max_size=3, unique=True).flatmap(
    lambda chosen: st.tuples(*(st.tuples(st.just(one), _values(one)) for one in chosen)))


def instance(number: int, elements: Keys, inside: tuple[tuple[Attribute, Value], ...]) -> Keys:
    """An instance of a patient of its own."""
    uid = f"{ROOT}.{number}"
    sequences: dict[str, list[dict[str, Value]]] = {}
    for attribute, value in inside:
        sequences.setdefault(keyword_for_tag(attribute.sequence), [{}])[0][attribute.keyword] = value
    return {"SpecificCharacterSet": "ISO_IR 192", "SOPClassUID": CT, "SOPInstanceUID": f"{uid}.1.1",
            "StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "PatientID": f"H-{number}",
            **elements, **sequences}


def questions(stored: Keys) -> Iterator[tuple[str, Keys]]:
    """(level, keys) for each attribute, and one for all attributes of a level together."""
    together: dict[int, Keys] = {}
    for attribute in INDEXED:
        keyword = keyword_for_tag(attribute.sequence or attribute.tag)
        if keyword in stored and keyword not in ("SpecificCharacterSet", "AvailableTransferSyntaxUID"):
            value = stored[keyword]
            key = [{attribute.keyword: value[0][attribute.keyword]}] if attribute.sequence and (
                attribute.keyword in value[0]) else value
            together.setdefault(attribute.level, {})[keyword] = key
            yield LEVELS[attribute.level], {keyword: key}
    yield from ((LEVELS[level], keys) for level, keys in together.items())


@pytest.fixture(scope="module")
def asker(shared: Installed) -> Iterator[Asker]:
    with Asker(shared.port, PATIENT_ROOT, IMPLICIT, b"\1") as association:
        yield association


def whole(stored: Keys, level: str, keys: Keys) -> Keys:
    """With the character set, and the unique keys down to the level."""
    names = NAMES[:LEVELS.index(level) + 1]
    return {"SpecificCharacterSet": "ISO_IR 192", **{name: stored[name] for name in names}, **keys}


@settings(max_examples=EXAMPLES, deadline=None)
@given(elements=ELEMENTS, inside=ITEMS)
def test_the_oracle_finds_it(elements: Keys, inside: tuple) -> None:
    stored = instance(0, elements, inside)
    oracle = Oracle([dataset(stored)], KEPT)
    for level, keys in questions(stored):
        assert len(oracle.ask(PATIENT_ROOT, level, dataset(whole(stored, level, keys))).found) == 1, keys


@settings(max_examples=EXAMPLES, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(elements=ELEMENTS, inside=ITEMS)
def test_the_server_finds_it(elements: Keys, inside: tuple, asker: Asker, shared: Installed) -> None:
    stored = instance(next(_NUMBERS), elements, inside)
    store(shared.port, [stored])
    for level, keys in questions(stored):
        answer = asker.find(level, whole(stored, level, keys))
        assert (answer.status, len(answer.raw)) == (0, 1), keys
