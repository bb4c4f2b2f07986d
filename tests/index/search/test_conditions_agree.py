"""SQL and criteria agree: a condition's SQL finds exactly those whose own values the criterion accepts."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomserver.index import Index, open_index
from dicomserver.index.search.columns import Kind
from dicomserver.index.search.criteria import Criterion, Within
from dicomserver.index.search.keys import BadKey, criterion_of
from dicomserver.index.search.query import Condition, Moment
from dicomserver.index.search.times import Span, date_time_span
from dicomserver.standard.attributes import Attribute, Level
from dicomserver.standard.query import query_attributes
from tests.index.emptied import emptied
from tests.index.search.stored import (
    ODD, STUDY_DATE, STUDY_TIME, UTF_8, by_sql, by_values, fill, instance, kind_of, searched,
)

SEARCHED = searched()
PIECES = st.sampled_from(["*", "?", "[", "]", "^", "=", "A", "B", "C", "ABC", "abc", "a", "x", "ä", "Ä", "doe", "山",
"Jo", '"',
                          "%", "_", "-", "''", " ", "mull", "ue", "ü", "やま", "yama", "ελ", "el", "1", "0"])
DIGITS = st.text(alphabet="0123", min_size=2, max_size=2)
KEYS = {
    Kind.TEXT: st.lists(PIECES, max_size=5).map("".join), Kind.NAME: st.lists(PIECES, max_size=5).map("".join),
    Kind.DATE: st.one_of(st.dates().map("{:%Y%m%d}".format), st.sampled_from(ODD[Kind.DATE])),
    Kind.TIME: st.one_of(st.lists(DIGITS, min_size=1, max_size=3).map("".join), st.sampled_from(ODD[Kind.TIME])),
    Kind.INTEGER: st.one_of(st.integers(-5, 110).map(str), st.sampled_from(ODD[Kind.INTEGER])),
    Kind.UID: st.integers(0, 40).flatmap(
        lambda n: st.sampled_from([f"1.{n}", f"1.{n}.1", f"1.{n}.{n}", f"1.{n}.{n}.{n}"])),
    Kind.LABEL: st.sampled_from(["1.9.0", "1.9.1", "1.8.0", "1.8.1", "1.9", "x"]),
}


@pytest.fixture(params=["sqlite", "memory", "postgres"], scope="module")
def odd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder: Path = tmp_path_factory.mktemp("odd")
    urls = {"sqlite": f"sqlite://{folder}/index.db", "memory": "memory:"}
    index = open_index(urls.get(request.param) or emptied(request.getfixturevalue("postgres")))
    fill(index)
    yield index
    index.close()


def understood(attribute: Attribute, text: str, fuzzy: bool = False) -> Criterion | None:
    try:
        return criterion_of(attribute.vr, text.encode(), UTF_8, fuzzy=fuzzy)
    except BadKey:
        return None


def table(attribute: Attribute) -> Iterator[str]:
    """What is stored itself, parts of it with wildcards, lists and ranges."""
    kind = kind_of(attribute)
    for text in [*ODD[kind], "1.1", "1.1.1\\1.1.1.1", "1.9.0", "1.9.1\\1.8.0"]:
        yield text
        if kind in (Kind.TEXT, Kind.NAME):
            yield from (text + "*", "*" + text, f"*{text[1:]}*", "?" + text[1:], text[:-1] + "?", f"*{text[2:-1]}*")
        if kind in (Kind.DATE, Kind.TIME):
            yield from (text + "-", "-" + text, f"{text}-{text}", f"{text}\\-1999")
        yield text + "\\A*\\*bc"
    yield '""'


def check(index: Index, level: Level, condition: Condition | Moment) -> int:
    found = by_sql(index, level, condition)
    assert found == by_values(index, level, condition)
    return len(found)


@pytest.mark.parametrize("attribute, level", SEARCHED, ids=[f"{one.keyword}-{level.name}" for one, level in SEARCHED])
def test_keys_of_the_table(odd: Index, attribute: Attribute, level: Level) -> None:
    criteria = {repr(criterion): criterion for text in table(attribute) for fuzzy in (False, attribute.vr == "PN")
                if (criterion := understood(attribute, text, fuzzy))}
    assert len(criteria) > 1
    found = [check(odd, level, Condition(attribute, criterion)) for criterion in criteria.values()]
    assert any(found)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(SEARCHED))
def test_any_keys(odd: Index, data: st.DataObject, which: tuple[Attribute, Level]) -> None:
    attribute, level = which
    kind = kind_of(attribute)
    if kind in (Kind.DATE, Kind.TIME):
        text = data.draw(st.lists(KEYS[kind], min_size=1, max_size=2).map("-".join))
    else:
        text = data.draw(st.lists(KEYS[kind], min_size=1, max_size=3).map("\\".join))
    criterion = understood(attribute, text, data.draw(st.booleans()))
    if criterion is not None:
        check(odd, level, Condition(attribute, criterion))


@pytest.mark.parametrize("engine", ["sqlite", "memory"])
@settings(max_examples=40, deadline=None)
@given(stored=st.text(st.characters(codec="utf-8", exclude_characters="\\\x1b"), max_size=12), data=st.data())
def test_any_text(tmp_path_factory: pytest.TempPathFactory, engine: str, stored: str, data: st.DataObject) -> None:
    """What is stored is asked for itself, and with a few of its letters replaced."""
    folder: Path = tmp_path_factory.mktemp("any")
    index = open_index("memory:" if engine == "memory" else f"sqlite://{folder}/index.db")
    index.add(instance(1, dict.fromkeys(ODD, stored)))
    index.add(instance(2, dict.fromkeys(ODD, "ABC")))
    wildcard = st.sampled_from(["*", "?", ""])
    asked = "".join(data.draw(wildcard) if data.draw(st.integers(0, 2)) == 0 else letter for letter in stored)
    for attribute, level in SEARCHED:
        for text in (stored, asked, asked + "*", "*" + asked):
            criterion = understood(attribute, text)
            if criterion is not None and kind_of(attribute) in (Kind.TEXT, Kind.NAME):
                check(index, level, Condition(attribute, criterion))
    index.close()


MOMENTS = st.one_of(st.none(), st.sampled_from(
    ["20240229", "20240301", "19991231", "00010101", "99991231", "20230301"]).flatmap(
    lambda day: st.sampled_from(["000000.000000", "101530.500000", "101560.999999", "235960.999999"]).map(day.__add__)))


@settings(max_examples=60, deadline=None)
@given(MOMENTS, MOMENTS)
def test_dates_with_times(odd: Index, low: str | None, high: str | None) -> None:
    if low or high:
        ends = [end and Span(end, end) for end in (low, high)]
        date, time = query_attributes()[0, STUDY_DATE], query_attributes()[0, STUDY_TIME]
        both = Moment(date, time, Within(*ends, date_time_span))
        for level in (Level.STUDY, Level.SERIES, Level.INSTANCE):
            check(odd, level, both)
