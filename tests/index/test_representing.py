from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dicomserver.index.character_sets import ENCODINGS
from dicomserver.index.decoding import decode, encoding_of
from dicomserver.index.mislabelled import guess
from dicomserver.index.representing import represent, represent_stored
from tests.index.character_set_matrix import ALONE, ASKED, MANY_BYTES, MIXED, ONE_BYTE, Stored, in_own_words

UTF_8 = b"ISO_IR 192"
EVERY_SET = b"ISO 2022 IR 13\\" + b"\\".join(
    term.encode() for term in ENCODINGS if term.startswith("ISO 2022") and not term.endswith((" 13", " 6")))
TWO_BYTES = [stored.character_set for stored in MANY_BYTES if stored.character_set != UTF_8]
ONE_BYTE_LETTERS = sorted({letter for _, codec, *_ in ONE_BYTE if codec != "shift_jis"
                           for letter in bytes(range(0xA0, 0x100)).decode(codec, "ignore")} | set("ｦﾟ¥‾"))
PAIRS = [bytes((high, low)) for high in range(0x81, 0xFF) for low in range(0x40, 0xFF)]
TWO_BYTE_LETTERS = sorted({letter for codec in ("gbk", "euc_kr", "euc_jp", "cp949") for pair in PAIRS
                           for letter in pair.decode(codec, "ignore") + (b"\x8f" + pair).decode(codec, "ignore")})


def one(text: str, asked: bytes, vr: str = "PN") -> tuple[bytes, bytes]:
    character_set, values = represent([(text, vr)], asked)
    return character_set, values[0]


@pytest.mark.parametrize("stored", [*ALONE, *MANY_BYTES, *MIXED[:2]], ids=lambda stored: stored.character_set.decode())
def test_writes_the_standards_own_bytes(stored: Stored) -> None:
    character_set, value = one(stored.text, stored.character_set)
    assert (character_set.rstrip(b" "), value.rstrip(b" ")) == (in_own_words(stored.character_set), stored.raw)


@pytest.mark.parametrize(("asked", "character_set"), [
    (b"ISO-IR 100", b"ISO_IR 100"), (b"iso ir 100 ", b"ISO_IR 100"), (b"ISO 2022 IR 100", b"ISO_IR 100"),
    (b"ISO_IR 100\\ISO_IR 126", b"ISO 2022 IR 100\\ISO 2022 IR 126 "), (b"ISO 2022 GBK", b"GBK "),
    (b"ISO 2022 IR 6\\ISO 2022 IR 100\\ISO 2022 IR 100", b"ISO 2022 IR 6\\ISO 2022 IR 100 "),
    (b"ISO_IR 100\\ISO 2022 IR 100", b"ISO_IR 100"), (b"\\ISO 2022 IR 100\\NO SUCH SET\\", b"\\ISO 2022 IR 100"),
    (b"\\ISO 2022 IR 100\\ISO_IR 192", b"\\ISO 2022 IR 100"),  # PS3.5 6.1.2.5.4: it stands alone
    (b"ISO_IR 192\\ISO 2022 IR 100", UTF_8), (b"GB18030\\ISO 2022 IR 100", b"GB18030 "),
    (b"", UTF_8), (b"ISO_IR 6", UTF_8), (b"\\", UTF_8), (b"NO SUCH SET", UTF_8), (b"\xff\xfe", UTF_8),
    (b"NO SUCH SET\\ISO 2022 IR 100", UTF_8), (b"ISO 2022 IR 6\\" * 10000, UTF_8),
])
def test_names_the_set_in_the_standards_words(asked: bytes, character_set: bytes) -> None:
    assert one("Jérôme"[:2], asked)[0] == character_set


def test_a_set_of_two_bytes_cannot_be_the_first_value() -> None:
    assert one("山", b"ISO 2022 IR 87") == (b"\\ISO 2022 IR 87 ", b"\x1b$B;3\x1b(B")
    assert one("홍", b"ISO_IR 149") == (b"\\ISO 2022 IR 149", b"\x1b$)C\xc8\xab")


def test_all_values_share_one_set() -> None:
    texts = [("Jérôme", "PN"), ("Zürich\\Genève", "LO"), ("Διονύσιος", "SH")]
    assert represent(texts[:2], b"ISO_IR 100") == (b"ISO_IR 100", [b"J\xe9r\xf4me", b"Z\xfcrich\\Gen\xe8ve "])
    assert represent(texts, b"ISO_IR 100") == (UTF_8, [
        "Jérôme".encode(), "Zürich\\Genève ".encode(), "Διονύσιος".encode()])
    assert represent([], b"ISO_IR 100") == (b"ISO_IR 100", [])


@pytest.mark.parametrize("asked", [b"", *ASKED])
def test_stored_values_are_read_by_their_own_sets_and_written_in_one(asked: bytes) -> None:
    """Twice, as what was written once is remembered; each alone, and all together, which no small set has room for."""
    stored = [(one.raw, one.character_set, "PN") for one in (*ALONE, *MANY_BYTES, *MIXED)]
    stored += [(raw * 100, character_set, "LT") for raw, character_set, _ in stored]
    for some in 2 * [*([one] for one in stored), stored]:
        texts = [(decode(raw, character_set), vr) for raw, character_set, vr in some]
        assert represent_stored(some, asked) == represent(texts, asked)


@pytest.mark.parametrize(("text", "asked"), [
    ("山", b"ISO_IR 13"),  # in Shift JIS, which is more than JIS X 0201
    ("¥", b"ISO_IR 13"), ("‾ｱ", b"ISO_IR 13"), ("~ｱ", b"ISO_IR 13"),  # the places of a backslash and a tilde
    ("¥", b"\\ISO 2022 IR 87"), ("똠", b"\\ISO 2022 IR 149"), ("嚴", b"\\ISO 2022 IR 58"), ("é", b"\\ISO 2022 IR 87"),
    ("\x85", b"\\ISO 2022 IR 100"), ("ｱ", b"\\ISO 2022 IR 87"), ("😀", b"GBK"), ("€", b"ISO_IR 100"),
    ("ç\x1b-F", b"\\ISO 2022 IR 100"),
])
def test_what_the_set_lacks_goes_out_in_utf_8(text: str, asked: bytes) -> None:
    character_set, value = one(text, asked)
    assert character_set == UTF_8
    assert value.rstrip(b" ") == text.encode()


def test_what_nobody_could_decode_still_goes_out() -> None:
    text = decode(b"\xff\x80\xfe", b"ISO_IR 138")
    assert one(text, b"ISO_IR 138") == (UTF_8, text.encode() + b" ")
    assert one("\ud800", b"ISO_IR 100") == (UTF_8, b"\\ud800")


@pytest.mark.parametrize(("asked", "vr", "value"), [
    (b"ISO 2022 IR 100\\ISO 2022 IR 126", "PN", b"\xe9\x1b-F\xc6^\xe9=\x1b-F\xc6\\\xe9"),
    # Not a PN: to some readers ^ and = end what an escape sequence began, to others not; here all agree.
    (b"ISO 2022 IR 100\\ISO 2022 IR 126", "LO", b"\xe9\x1b-F\xc6^\x1b-A\xe9=\x1b-F\xc6\\\x1b-A\xe9"),
    (b"\\ISO 2022 IR 126\\ISO 2022 IR 100", "PN", b"\x1b-A\xe9\x1b-F\xc6^\x1b-A\xe9=\x1b-F\xc6\\\x1b-A\xe9"),
    (b"\\ISO 2022 IR 126\\ISO 2022 IR 100", "LO", b"\x1b-A\xe9\x1b-F\xc6^\x1b-A\xe9=\x1b-F\xc6\\\x1b-A\xe9"),
])
def test_delimiters_go_back_to_the_first_set(asked: bytes, vr: str, value: bytes) -> None:
    character_set, got = one("éΖ^é=Ζ\\é", asked, vr)
    assert got.rstrip(b" ") == value
    assert decode(got, character_set).rstrip() == "éΖ^é=Ζ\\é"


def test_caret_and_equals_are_text_where_there_are_no_groups() -> None:
    """DCMTK does not find the second escape sequence of a text in ISO 2022 IR 58 without groups."""
    assert one("张^小=东", b"\\ISO 2022 IR 58", "LO")[1] == b"\x1b$)A\xd5\xc5^\xd0\xa1=\xb6\xab"
    assert decode(b"\x1b$)A\xd5\xc5^\xd0\xa1=\xb6\xab", b"\\ISO 2022 IR 58") == "张^小=东"


def test_letters_below_80_end_before_ascii_and_before_the_end() -> None:
    assert one("山 a\r\n田", b"\\ISO 2022 IR 87", "LT")[1] == b"\x1b$B;3\x1b(B a\r\n\x1b$BED\x1b(B"
    assert one("山é田", b"\\ISO 2022 IR 87\\ISO 2022 IR 100")[1] == b"\x1b$B;3\x1b(B\x1b-A\xe9\x1b$BED\x1b(B"


@pytest.mark.parametrize(("asked", "letters"), [
    *((asked, ONE_BYTE_LETTERS) for asked in ASKED), *((asked, TWO_BYTE_LETTERS) for asked in (EVERY_SET, *TWO_BYTES))])
def test_no_letter_of_any_set_is_lost(asked: bytes, letters: list[str]) -> None:
    for letter in letters:
        character_set, value = one(f"a{letter}^b", asked)
        assert decode(value, character_set).rstrip(" ") == f"a{letter}^b"


@given(st.lists(st.tuples(st.text(st.characters(exclude_characters="\x1b", exclude_categories=["Cs"])),
                          st.sampled_from(["PN", "LO", "UT"])), max_size=4),
       st.sampled_from([*ASKED, EVERY_SET]) | st.binary(max_size=40))
def test_every_text_comes_back(texts: list[tuple[str, str]], asked: bytes) -> None:
    character_set, values = represent(texts, asked)
    assert character_set and len(character_set) % 2 == 0
    for (text, _), value in zip(texts, values, strict=True):
        assert len(value) % 2 == 0
        # Control characters from 80H on, "Ã¼" and the like are read as what they would be in a device's Latin-1.
        assume(value.isascii() or b"\x1b" in value
               or guess(value, encoding_of(character_set)) in (None, text, text + " "))
        assert decode(value, character_set) in (text, text + " ")
