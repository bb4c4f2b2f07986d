from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomserver.index.search.criteria import (
    AnyOf, Criterion, Empty, Equal, Like, Name, Numeric, Within, matches, number_of,
)
from dicomserver.index.search.times import Span, date_span, date_time_span, time_span

FEW = st.text(alphabet="ab*?", max_size=9)


def within(low: str, high: str, span=date_span) -> Within:
    return Within(span(low) if low else None, span(high) if high else None, span)


@given(FEW, st.text(alphabet="ab", max_size=12))
def test_patterns_match_as_regular_expressions_do(pattern: str, text: str) -> None:
    expression = pattern.replace("*", ".*").replace("?", ".")
    assert matches(pattern, text) == bool(re.fullmatch(expression, text, re.DOTALL))


@pytest.mark.parametrize("pattern, text, does", [
    ("[ab]", "a", False), ("[ab]", "[ab]", True), ("%", "x", False), ("a_", "ab", False), ("*", "", True),
    ("?", "", False), ("?", "\n", True), ("*", "\n", True), ("?", "\U0001f600", True), ("A*", "a", False)])
def test_nothing_else_is_special(pattern: str, text: str, does: bool) -> None:
    assert matches(pattern, text) is does


def test_no_pattern_takes_for_ever() -> None:
    assert not matches("*a" * 400 + "*b", "a" * 1024)
    assert not matches("*?a" * 200 + "*b", "a" * 1024)


@pytest.mark.parametrize("criterion, values, does", [
    (Equal(frozenset({"A", "B"})), ["B"], True), (Equal(frozenset({"A"})), ["a"], False),
    (Equal(frozenset({"A"})), ["X", "A"], True), (Equal(frozenset({"A"})), [], False),
    (Like("A*"), ["AB"], True), (Like("A*"), ["BA"], False), (Like("A*"), ["", "A"], True), (Like("*?"), [""], False),
    (Empty(), [], True), (Empty(), [""], True), (Empty(), ["", "x"], False),
    (Empty(date_span), ["junk"], True), (Empty(date_span), ["20240229"], False),
    (Empty(number_of), ["0"], False), (Empty(number_of), ["junk"], True), (Empty(number_of), ["x", "1"], False),
    (Numeric(frozenset({7.0}), number_of), ["007"], True), (Numeric(frozenset({7.0}), number_of), ["7.5"], False),
    (Numeric(frozenset({7.0}), number_of), ["junk", "7e0"], True), (Numeric(frozenset({7.0}), number_of), [], False),
    (AnyOf((Like("A*"), Equal(frozenset({"B"})))), ["B"], True), (AnyOf((Like("A*"), Like("B?"))), ["C"], False),
])
def test_what_is_accepted(criterion: Criterion, values: list[str], does: bool) -> None:
    assert criterion.accepts(values) is does


@pytest.mark.parametrize("groups, anywhere, stored, does", [
    (("doe", "", ""), True, "DOE", True), (("doe", "", ""), True, "Doe^^", True), (("doe", "", ""), True, "Doe^J",
    False),
    (("doe*", "", ""), True, "Doe^J", True), (("muller", "", ""), True, "MÜLLER", True),
    (("山田", "", ""), True, "Yamada=山田=やまだ", True), (("x", "", ""), True, "Yamada=山田=やまだ", False),
    (("yamada", "", ""), False, "Yamada=山田", True), (("", "山*", ""), False, "Yamada=山田", True),
    (("", "yamada", ""), False, "Yamada=山田", False), (("yamada", "", "や*"), False, "Yamada=山田", False),
    (("", "?*", ""), False, "Yamada", False), (("?*", "", ""), True, "", False), (("?*", "", ""), True, "^^=", False)])
def test_names(groups: tuple[str, str, str], anywhere: bool, stored: str, does: bool) -> None:
    assert Name(groups, anywhere).accepts([stored]) is does


@pytest.mark.parametrize("criterion, value, does", [
    (within("20240101", "20241231"), "20240101", True), (within("20240101", "20241231"), "20241231", True),
    (within("20240101", "20241231"), "20250101", False), (within("20240101", ""), "99991231", True),
    (within("", "20240101"), "20240102", False), (within("", "20240101"), "junk", False),
    (within("10", "10", time_span), "105959.9", True), (within("10", "10", time_span), "11", False),
    (within("1015", "1020", time_span), "102059.999999", True), (within("1015", "1020", time_span), "1021", False),
    (within("1015", "1020", time_span), "10", False),       # which counts as ten sharp
    (within("2024", "2024", date_time_span), "20240229101530", True),
    (within("20240229120000+0200", "20240229120000+0200", date_time_span), "20240229100000+0000", True),
    (within("20240229120000+0200", "20240229120000+0200", date_time_span), "20240229120000", True),
    (within("20240229120000", "20240229120000", date_time_span), "20240229120000-0500", True),
    (within("20240229120000+0200", "20240229120000+0200", date_time_span), "20240229120000+0000", False)])
def test_dates_and_times(criterion: Within, value: str, does: bool) -> None:
    assert criterion.accepts([value]) is does
    assert criterion.accepts(["junk", value]) is does
    assert not criterion.accepts([])


def test_a_range_without_ends_is_of_all_that_can_be_read() -> None:
    everything = Within(None, None, date_span)
    assert everything.accepts(["20240229"]) and not everything.accepts(["junk"])
    assert Within(Span("a", "a"), None, lambda text: Span(text, text)).accepts(["b"])


@pytest.mark.parametrize("text, number", [
    ("7", 7), (" 007 ", 7), ("-1.50", -1.5), (".5", 0.5), ("5.", 5), ("1e2", 100), ("+1E-1", 0.1), ("", None),
    ("7a", None), ("1,5", None), ("nan", None), ("inf", None), ("1e999", None), ("0x10", None), ("1_0", None),
    ("٣", None), ("7" + " " * 70 + "x", 7)])
def test_numbers(text: str, number: float | None) -> None:
    assert number_of(text) == number


def test_names_in_latin_letters_and_by_their_sound() -> None:
    """What Name says of forms and sounds."""
    eleni = ["Ελένη^Γιώργος=x"]
    assert Name(("eleni*", "", ""), True).accepts(eleni) and Name(("eleni*", "x", ""), False).accepts(eleni)
    assert not Name(("eleni*", "y", ""), False).accepts(eleni) and not Name(("", "eleni*", ""), False).accepts(eleni)
    assert Name(("muller", "", ""), True, "mueller").accepts(["Mueller"])
    assert not Name(("muller", "", ""), True).accepts(["Mueller"])
    sounds = (frozenset({"SM0", "XMT"}), frozenset({"JN", "AN"}))
    assert Name(("x", "", ""), True, "", sounds).accepts(["", "Jon^Smyth"])
    assert not Name(("x", "", ""), True, "", sounds).accepts(["Smyth^Peter", "Jon"])
    assert not Name(("x", "", ""), True, "", sounds).accepts([])
