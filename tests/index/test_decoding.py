from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.dataset import Dataset
from pydicom.valuerep import PN_DELIMS

from dicomserver.index.decoding import decode, encoding_of
from tests.index.character_set_matrix import ASKED, STORED, Stored
from tests.shipped import FOLDER

CHARSET_FILES = sorted(FOLDER.with_name("charset_files").glob("*.dcm"))
ESCAPES = [b"\x1b", b"$B", b"$(D", b")I", b"$)C", b"-F", b"(B", b"(J", b"$", b"^", b"=", b"\\", b"\r\n"]
hostile_bytes = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(ESCAPES) | st.binary(max_size=4)).map(
    lambda some: b"\x1b".join(some)))
hostile_sets = st.one_of(st.sampled_from(ASKED), st.binary(max_size=40), st.just(b"ISO_IR 100" * 1000))


@pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored.character_set.decode())
def test_reads_every_character_set(stored: Stored) -> None:
    assert decode(stored.raw, stored.character_set) == stored.text


@pytest.mark.parametrize(("character_set", "raw", "text"), [
    (b"ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    (b"ISO_IR 144", b"\xbb\xee\xdace\xdc\xd1yp\xd3", "Люкceмбypг"),
    (b"ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
])
def test_reads_examples_of_the_standard_beside_those_of_the_matrix(
        character_set: bytes, raw: bytes, text: str) -> None:
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


def elements(raw: Dataset, text: Dataset, character_set: bytes) -> Iterator[tuple[bytes, bytes, str]]:
    """(character set, raw value, text by pydicom) of all text in a dataset that was read twice."""
    if "SpecificCharacterSet" in text:
        value = text.SpecificCharacterSet
        character_set = ("\\".join(value) if not isinstance(value, str) else value).encode()
    for tag in text.keys():
        element = text[tag]
        if element.VR == "SQ":
            for raw_item, item in zip(raw[tag].value, element.value, strict=True):
                yield from elements(raw_item, item, character_set)
        elif element.VR in ("PN", "LO", "SH", "LT"):
            values = element.value if element.VM > 1 else [element.value]
            yield character_set, raw.get_item(tag).value, "\\".join(map(str, values))


@pytest.mark.parametrize("path", CHARSET_FILES, ids=lambda path: path.stem)
def test_reads_pydicoms_files_as_pydicom_does(path: Path) -> None:
    found = list(elements(pydicom.dcmread(path), pydicom.dcmread(path), b""))
    assert found
    for character_set, raw, text in found:
        assert decode(raw, character_set).rstrip(" =") == text.rstrip(" =")


def test_pydicom_brings_all_its_files() -> None:
    assert len(CHARSET_FILES) == 17


@pytest.mark.parametrize("spelling", [
    b"ISO_IR 192", b"ISO IR 192", b"ISO-IR 192", b"iso_ir_192 ", b"ISO_IR 192\0", b"ISO_IR 192\\ISO 2022 IR 87"])
def test_knows_a_term_however_it_is_spelt(spelling: bytes) -> None:
    assert encoding_of(spelling) == "UTF8"


@pytest.mark.parametrize("delimiter", ["^", "=", "\\", "\r\n", "\n", "\f", "\t"])
def test_a_delimiter_goes_back_to_the_first_set(delimiter: str) -> None:
    raw = b"\xe9\x1b-L\xb8" + delimiter.encode() + b"\xe9"
    assert decode(raw, b"ISO 2022 IR 100\\ISO 2022 IR 144") == f"éИ{delimiter}é"
    raw = b"\xb1\x1b$B;3\x1b(J" + delimiter.encode() + b"\xb1"
    assert decode(raw, b"ISO 2022 IR 13\\ISO 2022 IR 87") == f"ｱ山{delimiter}ｱ"


def test_letters_above_7f_outlast_an_escape_sequence_for_those_below() -> None:
    assert decode(b"\x1b-L\xb8\x1b$B;3\x1b(B\xb8", b"ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 87") == "И山И"
    assert decode(b"\x1b)I\x1b$B;3\xb1ED\x1b(B", b"\\ISO 2022 IR 13\\ISO 2022 IR 87") == "山ｱ田"


def test_halves_of_letters_that_look_like_delimiters_are_none() -> None:
    kanji = "移緯綾施枝表"  # in JIS X 0208 their bytes have 3DH, 5EH and 5CH
    raw = kanji.encode("iso2022_jp")
    assert b"=" in raw and b"^" in raw and b"\\" in raw
    assert decode(raw + b"^" + raw, b"\\ISO 2022 IR 87") == f"{kanji}^{kanji}"
    name = "表^機能"  # 5Ch is the second byte of the first letter in Shift JIS and GBK has others
    assert decode(name.encode("shift_jis"), b"ISO_IR 13") == name
    assert decode("運".encode("gbk"), b"GBK") == "運"


@pytest.mark.parametrize(("character_set", "raw", "text"), [
    (b"NO SUCH SET", "Müller".encode(), "Müller"),
    (b"NO SUCH SET", b"M\xfcller", "Müller"),
    (b"NO SUCH SET", b"\x1b$B;3\x1b(B", "山"),
    (b"", "Müller".encode(), "Müller"),
    (b"", b"M\xfcller", "Müller"),
    (b"ISO_IR 192", b"M\xfcller", "Müller"),
    (b"ISO_IR 192", "山田".encode()[:-1], "山ç\x94"),  # cut within a letter: the others are still there
    (b"ISO_IR 138", b"\xf9\xf8\xc0\xe5", "שרÀו"),
    (b"\\ISO 2022 IR 149", b"\x1b$)C\xc8\xab^\xb1\xe6", "홍^길"),  # no escape sequence after the delimiter
    (b"\\ISO 2022 IR 149", b"\x1b$)C\x8c\x63", "똠"),  # Windows' Korean has more letters
    (b"\\ISO 2022 IR 58", b"\x1b$)A\x87\xc0", "嚴"),  # so has its Chinese
    (b"ISO_IR 13", b"\xfb\xfc^\xed\x95", "髙^﨑"),  # and its Japanese
    (b"\\ISO 2022 IR 87", b"\x1b$B;3ED^", "山田^"),  # no escape sequence before the delimiter
    (b"\\ISO 2022 IR 87", b"\x1b$@;3\x1b(IABC\x1b(B", "山ﾁﾂﾃ"),
    (b"\\ISO 2022 IR 87", b"\x1b$B;3 ED\nYamada", "山 田\nYamada"),
    (b"", b"A\x1b", "A"),
    (b"", b"A\x1b$Zx\xe9", "A$Zxé"),
    (b"ISO_IR 192", b"\x1b$B;3\x1b(B", "$B;3(B"),
])
def test_reads_what_the_standard_does_not_allow(character_set: bytes, raw: bytes, text: str) -> None:
    assert decode(raw, character_set) == text


@given(hostile_bytes, hostile_sets)
def test_never_raises(raw: bytes, character_set: bytes) -> None:
    text = decode(raw, character_set)
    assert "\x1b" not in text
    assert text.encode("utf_8").decode("utf_8") == text


@given(st.binary(max_size=64).filter(lambda raw: b"\x1b" not in raw))
def test_the_default_repertoire_loses_no_byte(raw: bytes) -> None:
    text = decode(raw, b"")
    assert raw in {text.encode(codec, "replace") for codec in ("utf_8", "latin_1", "cp1252", "shift_jis")}
