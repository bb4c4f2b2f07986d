from __future__ import annotations

import struct

import pytest

from dicomserver.index.search.criteria import AnyOf, Criterion, Empty, Equal, Like, Name, Numeric, Within
from dicomserver.index.search.keys import (
    LONGEST_PATTERN, MOST_ALTERNATIVES, MOST_VALUES, BadKey, TooManyValues, criterion_of, values_of,
)

UTF_8 = b"ISO_IR 192"
TEXTS = ("AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT")


def equal(*texts: str) -> Equal:
    return Equal(frozenset(texts))


@pytest.mark.parametrize("vr", [*TEXTS, "AS", "DA", "DS", "DT", "IS", "PN", "TM", "UI"])
@pytest.mark.parametrize("value", [b"", b"  ", b"\0", b"*", b"** ", b" * "])
def test_universal_matching(vr: str, value: bytes) -> None:
    assert criterion_of(vr, value, b"") == (equal(value.strip().decode()) if vr == "UI" and b"*" in value else None)


@pytest.mark.parametrize("vr, value", [
    ("LO", b"A\\*"), ("DA", b"\\20240101"), ("IS", b"1\\\\2"), ("PN", b"DOE\\*"), ("OB", b"x"), ("UN", b"x"), ("AT",
    b"xxxx"),
    ("PN", b"^"), ("PN", b"^^=^"), ("PN", b"="), ("PN", b"*="), ("PN", b"*^"), ("PN", b"DOE\\^")])
def test_what_asks_for_nothing(vr: str, value: bytes) -> None:
    """One universal value among several makes all of the key so; nor do mere delimiters of names ask for anything."""
    assert criterion_of(vr, value, b"") is None


@pytest.mark.parametrize("vr, value, criterion", [
    ("UI", b"1.2\0", equal("1.2")), ("UI", b"1.2\\1.3 ", equal("1.2", "1.3")), ("UI", b"1.2\\", equal("1.2")),
    ("UI", b"1.*", equal("1.*")), ("AS", b"030Y", equal("030Y")), ("AS", b"0*", equal("0*")),
    ("LO", b" ABC ", equal("ABC")), ("LO", b"A\\B", equal("A", "B")), ("LO", b"A\\\\B", None),
    ("LO", b"A***B", Like("A*B")), ("LO", b"A?", Like("A?")), ("LO", b"A?\\B*", AnyOf((Like("A?"), Like("B*")))),
    ("SH", b"A\\B*\\C", AnyOf((equal("A", "C"), Like("B*")))), ("ST", b"A\\B", equal("A\\B")),
    ("UT", b"A\\*", Like("A\\*")), ("LO", "Ä*".encode(), Like("Ä*")), ("LO", b"A\0B", equal("AB")),
    ("PN", b"Doe^J", Name(("doe^j", "", ""), True)), ("PN", b"DOE=", Name(("doe", "", ""), False)),
    ("PN", b"Doe**", Name(("doe*", "", ""), True)), ("PN", "=Müller".encode(), Name(("", "muller", ""), False)),
    ("PN", "Müll*".encode(), Name(("mull*", "", ""), True, "muell*")),
    ("PN", "Ελένη=x".encode(), Name(("ελενη", "x", ""), False, "eleni")),
    ("PN", "==やま*".encode(), Name(("", "", "ヤマ*"), False)),
    ("PN", "やま*".encode(), Name(("ヤマ*", "", ""), True, "yama*")),
    ("PN", b"*=x", Name(("", "x", ""), False)),
    ("PN", b"a\\b=", AnyOf((Name(("a", "", ""), True), Name(("b", "", ""), False)))),
    ("LO", b'""', Empty()), ("PN", b'""', Empty()), ("LO", b'""\\A', equal('""', "A")), ("ST", b' "" ', Empty()),
])
def test_text(vr: str, value: bytes, criterion: Criterion | None) -> None:
    assert criterion_of(vr, value, UTF_8) == criterion


def test_sounds_where_they_are_asked_for() -> None:
    john = (frozenset({"SM0", "XMT"}), frozenset({"JN", "AN"}))
    for value in (b"Smith^John", b"smyth*^jon*"):
        assert criterion_of("PN", value, b"", fuzzy=True).sounds == john
        assert criterion_of("PN", value, b"").sounds == ()
    both = criterion_of("PN", b"Smith^John\\Sm?th", b"", fuzzy=True)
    assert [one.sounds for one in both.criteria] == [john, ()]
    assert criterion_of("PN", b"*", b"", fuzzy=True) is None
    assert criterion_of("LO", b"Smith", b"", fuzzy=True) == equal("Smith")


@pytest.mark.parametrize("vr, value, numbers", [
    ("IS", b"007", {7}), ("IS", b"1\\2 ", {1, 2}), ("DS", b"1.50", {1.5}), ("DS", b"1e2", {100}), ("IS", b"7.5", {7.5}),
    ("US", struct.pack("<2H", 512, 7), {512, 7}), ("SS", struct.pack("<h", -1), {-1}), ("US", b"\1\0\2", {1}),
    ("UL", struct.pack("<I", 1 << 31), {1 << 31}), ("SL", struct.pack("<i", -5), {-5}),
    ("FL", struct.pack("<f", 0.5), {0.5}), ("FD", struct.pack("<d", 0.1), {0.1})])
def test_numbers(vr: str, value: bytes, numbers: set[float]) -> None:
    criterion = criterion_of(vr, value, b"")
    assert isinstance(criterion, Numeric) and criterion.numbers == numbers
    assert all(criterion.accepts([str(number)]) for number in numbers if number == 7 or vr != "IS")
    assert criterion_of(vr, b"", b"") is None


@pytest.mark.parametrize("vr, value, low, high", [
    ("DA", b"20240229", "20240229", "20240229"), ("DA", b"20240101-20240131", "20240101", "20240131"),
    ("DA", b"20240101-", "20240101", None), ("DA", b"-20240101", None, "20240101"),
    ("DA", b" 20240101 - 20240131 ", "20240101", "20240131"), ("DA", b"2024.01.01-2024.01.31", "20240101", "20240131"),
    ("TM", b"10-1130", "100000.000000", "113060.999999"), ("TM", b"-12:30", None, "123060.999999"),
    ("DT", b"2024-", "20240101000000.000000", None), ("DT", b"-2024", None, "20241231235960.999999"),
    ("DT", b"2024-0100", "20240101000000.000000", "20241231235960.999999"),    # an offset
    ("DT", b"2024-2025", "20240101000000.000000", "20251231235960.999999"),
    ("DT", b"20240101-0100-20240102-0100", "20240101000000.000000", "20240102235960.999999"),
    ("DT", b"20240101-0100-", "20240101000000.000000", None),
])
def test_dates_and_times(vr: str, value: bytes, low: str | None, high: str | None) -> None:
    criterion = criterion_of(vr, value, b"")
    assert isinstance(criterion, Within)
    assert (criterion.low and criterion.low.low, criterion.high and criterion.high.high) == (low, high)


@pytest.mark.parametrize("vr, value", [
    ("DA", b"2024"), ("DA", b"junk"), ("DA", b"20230229"), ("DA", b"-"), ("DA", b"20240101-x"), ("DA", b"2024*"),
    ("DA", b"20240101-20240102-20240103"), ("TM", b"25"), ("TM", b"10-x"), ("TM", b" - "), ("DT", b"20241301"),
    ("DT", b"-"), ("DT", b"2024-x"), ("DA", b"20240101\\junk"), ("IS", b"x"), ("DS", b"1\\x"), ("IS", b"1?"),
    ("LO", b"x" * (LONGEST_PATTERN + 1))])
def test_what_cannot_be_understood(vr: str, value: bytes) -> None:
    with pytest.raises(BadKey) as bad:
        criterion_of(vr, value, b"")
    assert value[:5].decode() not in str(bad.value)


@pytest.mark.parametrize("vr, value, most", [
    ("UI", b"1.2", MOST_VALUES), ("LO", b"A", MOST_VALUES), ("IS", b"1", MOST_VALUES),
    ("PN", b"DOE", MOST_ALTERNATIVES), ("LO", b"A*", MOST_ALTERNATIVES), ("DA", b"20240101", MOST_ALTERNATIVES)])
def test_so_many_values_and_no_more(vr: str, value: bytes, most: int) -> None:
    assert criterion_of(vr, b"\\".join([value] * most), b"") is not None
    with pytest.raises(TooManyValues, match=f"more than {most} "):
        criterion_of(vr, b"\\".join([value] * (most + 1)), b"")


def test_a_backslash_in_what_has_one_value_counts_for_nothing() -> None:
    assert isinstance(criterion_of("ST", b"\\" * (LONGEST_PATTERN - 1), b""), Equal)
    assert isinstance(criterion_of("US", b"\\\\" * MOST_VALUES, b""), Numeric)


def test_empty_values_count_too() -> None:
    assert criterion_of("UI", b"\\" * (MOST_VALUES - 1), b"") is None
    with pytest.raises(TooManyValues):
        criterion_of("UI", b"\\" * MOST_VALUES, b"")


@pytest.mark.parametrize("vr, value, character_set, texts", [
    ("LO", b" A \\B\0", b"", ["A", "B"]), ("LO", b"\\", b"", ["", ""]), ("LO", b"A\\", b"", ["A", ""]),
    ("LO", b" ", b"", []),
    ("ST", b" A\\B ", b"", ["A\\B"]), ("ST", b"\0", b"", []), ("LO", "Ä".encode(), UTF_8, ["Ä"]),
    ("SH", "表\\B".encode("shift_jis"), b"ISO_IR 13", ["表", "B"]),     # whose second byte is a backslash's
    ("US", b"\1\0\2\0", b"", ["1", "2"]), ("FD", struct.pack("<d", 0.1), b"", ["0.1"]), ("US", b"\1", b"", []),
    ("UI", b"1.2\0", b"", ["1.2"]), ("LO", b"A\n", b"", ["A"])])
def test_values(vr: str, value: bytes, character_set: bytes, texts: list[str]) -> None:
    assert values_of(vr, value, character_set) == texts
