from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.valuerep import PN_DELIMS

from dicomserver.index.text import (
    TEXT_LIMIT, bounded, comparable, date_of, decode, encoding_of, fold, integer_of, searchable, time_of,
)

# PS3.5 Annexes H, I, J, K: (character set, raw name, text)
EXAMPLES = [
    (b"", b"Adams^John", "Adams^John"),
    (b"ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    (b"ISO_IR 144", b"\xbb\xee\xdace\xdc\xd1yp\xd3", "Люкceмбypг"),
    (b"ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    (b"\\ISO 2022 IR 87",
     b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
     "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (b"ISO 2022 IR 13\\ISO 2022 IR 87",
     b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
     "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (b"\\ISO 2022 IR 149",
     b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
     "Hong^Gildong=洪^吉洞=홍^길동"),
    (b"ISO_IR 192", "Wang^XiaoDong=王^小东=".encode(), "Wang^XiaoDong=王^小东="),
    (b"GB18030", "Wang^XiaoDong=王^小东=".encode("gb18030"), "Wang^XiaoDong=王^小东="),
    (b"\\ISO 2022 IR 58", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东="),
    (b"ISO 2022 IR 6\\ISO 2022 IR 100", b"Buc^\x1b-AJ\xe9r\xf4me", "Buc^Jérôme"),
]


@pytest.mark.parametrize(("character_set", "raw", "text"), EXAMPLES)
def test_reads_the_examples_of_the_standard(character_set: bytes, raw: bytes, text: str) -> None:
    assert decode(raw, character_set) == text


@pytest.mark.parametrize("term", [term for term in python_encoding if "58" not in term and term])
def test_agrees_with_pydicom_on_every_term(term: str) -> None:
    raw = bytes(range(0xA1, 0xFF))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encodings = convert_encodings(term)
        expected = decode_bytes(raw[:8], encodings, PN_DELIMS)
    if "\ufffd" not in expected:
        assert decode(raw[:8], term.encode()) == expected


@pytest.mark.parametrize("spelling", [
    b"ISO_IR 192", b"ISO IR 192", b"ISO-IR 192", b"iso_ir_192 ", b"ISO_IR 192\0"])
def test_knows_a_term_however_it_is_spelt(spelling: bytes) -> None:
    assert encoding_of(spelling) == "UTF8"


def test_falls_back_for_what_the_character_set_cannot_explain() -> None:
    assert decode("Müller".encode(), b"NO SUCH SET") == "Müller"
    assert decode("Müller".encode("latin_1"), b"NO SUCH SET") == "Müller"
    assert decode("Müller".encode("latin_1"), b"ISO_IR 192") == "Müller"
    assert decode(b"A\x1b", b"") == "A"
    assert decode(b"A\x1b$Zx\xe9", b"") == "A$Zxé"


@given(st.binary(max_size=200),
       st.sampled_from([*(term.encode() for term in python_encoding), b"?", b"\\\\", b"\xff"]))
def test_never_raises(raw: bytes, character_set: bytes) -> None:
    text = searchable(raw, character_set)
    assert text is None or (text and len(text.encode()) <= TEXT_LIMIT and "\0" not in text)
    fold(text)
    for read in (date_of, time_of, integer_of):
        read(raw)


@given(st.binary(max_size=60).map(lambda some: b"\x1b".join([some, b"$B", b")I", b"$)C", b"-F" + some])))
def test_never_raises_for_escapes(raw: bytes) -> None:
    assert isinstance(decode(raw, b"ISO 2022 IR 6\\ISO 2022 IR 87"), str)


def test_multi_byte_text_with_5c_inside_stays_whole() -> None:
    name = "表^機能"  # 5Ch is the second byte of the first letter in Shift JIS and GBK has others
    assert decode(name.encode("shift_jis"), b"ISO_IR 13") == name
    assert decode("運".encode("gbk"), b"GBK") == "運"


@pytest.mark.parametrize(("value", "text"), [
    (None, None), (b"", None), (b"  \0", None), (b" A B ", "A B"), (b"A\0", "A")])
def test_strips_padding(value: bytes | None, text: str | None) -> None:
    assert searchable(value, b"") == text


@pytest.mark.parametrize("letter", ["x", "é", "山", "😀"])
def test_cuts_between_letters(letter: str) -> None:
    size = len(letter.encode())
    assert bounded(letter * 2000) == letter * (TEXT_LIMIT // size)
    assert bounded(letter * (TEXT_LIMIT // size)) == letter * (TEXT_LIMIT // size)


@pytest.mark.parametrize(("text", "folded"), [
    (None, None), ("DOE^John", "doe^john"), ("Jérôme", "jerome"), ("Straße", "strasse"),
    ("Ｗｉｄｅ", "wide"), ("Łódź", "łodz"), ("ΣΊΣΥΦΟΣ", "σισυφοσ"), ("ﷺ" * 512, "صلى الله عليه وسلم" * 31),
])
def test_folds(text: str | None, folded: str | None) -> None:
    if text is not None and len(text) == 512:
        assert len(fold(text).encode()) <= TEXT_LIMIT  # one letter became eighteen
        assert fold(text).startswith(folded[:18])
    else:
        assert fold(text) == folded


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
