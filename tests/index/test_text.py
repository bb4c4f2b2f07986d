from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomserver.index.text import (
    TEXT_LIMIT, beginning, bounded, comparable, date_of, integer_of, searchable, split_values, time_of,
)
from tests.index.character_set_matrix import ASKED


@given(st.binary(max_size=200), st.sampled_from([*ASKED, b"?", b"\\\\", b"\xff"]))
def test_never_raises(raw: bytes, character_set: bytes) -> None:
    text = searchable(raw, character_set)
    assert text is None or (text and len(text.encode()) <= TEXT_LIMIT and "\0" not in text)
    for value in split_values(raw, character_set):
        assert "\\" not in value and value == value.strip(" \0")
    for read in (date_of, time_of, integer_of):
        read(raw)


@pytest.mark.parametrize(("value", "text"), [
    (None, None), (b"", None), (b"  \0", None), (b" A B ", "A B"), (b"A\0", "A")])
def test_strips_padding(value: bytes | None, text: str | None) -> None:
    assert searchable(value, b"") == text


@pytest.mark.parametrize("letter", ["x", "é", "山", "😀"])
def test_cuts_between_letters(letter: str) -> None:
    size = len(letter.encode())
    assert bounded(letter * 2000) == letter * (TEXT_LIMIT // size)
    assert bounded(letter * (TEXT_LIMIT // size)) == letter * (TEXT_LIMIT // size)


@pytest.mark.parametrize(("value", "character_set", "texts"), [
    (b"", b"", []), (b"  \0", b"", []), (b"A", b"", ["A"]), (b"A \\ B\0", b"", ["A", "B"]),
    (b"A\\\\B", b"", ["A", "", "B"]),
    (b"\\", b"", ["", ""]), (b"CT\\MR ", b"", ["CT", "MR"]),
    ("表\\ソ".encode("shift_jis"), b"ISO_IR 13", ["表", "ソ"]),
    ("運\\焅".encode("gbk"), b"GBK", ["運", "焅"]), ("運\\焅".encode("gb18030"), b"GB18030", ["運", "焅"]),
    ("山\\田".encode(), b"ISO_IR 192", ["山", "田"]),
    (b"\x1b$B%=\x1b(B\\\x1b$BI=I\\;^\x1b(B", b"\\ISO 2022 IR 87", ["ソ", "表府枝"]),
])
def test_splits_only_at_backslashes(value: bytes, character_set: bytes, texts: list[str]) -> None:
    assert split_values(value, character_set) == texts


def test_compares_without_case_and_padding_but_with_accents() -> None:
    assert comparable("Doe^John^^=") == comparable("DOE^JOHN") == comparable("doe^john ")
    assert comparable("が") != comparable("か")
    assert comparable("Müller") == comparable("Mu\u0308ller") != comparable("Muller")


@pytest.mark.parametrize(("value", "date"), [
    (b"20240229", "20240229"), (b"2024.02.29", "20240229"), (b"20240229 ", "20240229"),
    (b"00010101", "00010101"),
    (b"20230229", None), (b"20241301", None), (b"00000101", None), (b"2024", None), (b"2024-02-29", None),
    (b"20240229-20240301", None), (b"junk", None), (b"", None), (None, None), ("２０２４0229".encode(), None),
    (b"2024022\xb2", None),
])
def test_reads_dates(value: bytes | None, date: str | None) -> None:
    assert date_of(value) == date


@pytest.mark.parametrize(("value", "time"), [
    (b"10", "100000.000000"), (b"1011", "101100.000000"), (b"101112", "101112.000000"),
    (b"101112.5", "101112.500000"), (b"235960.123456 ", "235960.123456"), (b"10:11:12", "101112.000000"),
    (b"24", None), (b"1060", None), (b"101161", None), (b"101112.", None), (b"101112.1234567", None),
    (b"1", None), (b"", None), (None, None), (b"junk", None),
])
def test_reads_times(value: bytes | None, time: str | None) -> None:
    assert time_of(value) == time


@pytest.mark.parametrize(("value", "number"), [
    (b"0", 0), (b" 12 ", 12), (b"-7", -7), (b"+7", 7), (b"2147483647", 2147483647),
    (b"-2147483648", -2147483648), (b"2147483648", None), (b"1e309", None), (b"1_000", None), (b"12.0", 12),
    (b"12.5", None), (b"1\\2", None),
    (b"", None), (None, None), (b"9" * 1000, None), (b"nan", None),
])
def test_reads_integers(value: bytes | None, number: int | None) -> None:
    assert integer_of(value) == number


@pytest.mark.parametrize(("pattern", "begin"), [
    ("doe", "doe"), ("do*", "do"), ("d?e*", "d"), ("d*e?", "d"), ("*doe", ""), ("?", ""), ("", ""),
    ("do[e]*", "do[e]"),
])
def test_what_stands_before_a_wildcard(pattern: str, begin: str) -> None:
    assert beginning(pattern) == begin
