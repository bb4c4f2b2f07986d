"""What is recognised under another character set's name; and that no right name is mistaken."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomserver.index.decoding import decode
from dicomserver.index.mislabelled import guess
from tests.index.european_names import LATIN_1, WINDOWS_1252, of_codec

DECLARED = (b"", b"ISO_IR 6", b"ISO_IR 100", b"ISO 2022 IR 100")
JAPANESE = ["山田^太郎", "佐藤^花子", "鈴木^一郎", "田中^次郎", "高橋^健", "伊藤", "渡辺^まこと", "やまだ^たろう", "ヤマダ^タロウ",
            "Yamada^Tarou=山田^太郎=やまだ^たろう", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", "小林^誠", "林^修", "胸部CT", "頭部 単純", "表^機能"]
HALF_WIDTH = ["ﾔﾏﾀﾞ^ﾀﾛｳ", "ｽｽﾞｷ^ｲﾁﾛｰ", "ﾊｯﾄﾘ", "ｻﾄｳ", "YAMADA^TARO=ﾔﾏﾀﾞ^ﾀﾛｳ"]


def test_the_table_has_every_letter() -> None:
    letters = "".join(of_codec(LATIN_1, "latin_1"))
    assert {chr(code) for code in range(0xC0, 0x100)} - {"×", "÷"} <= set(letters)
    assert set("ŠšŽžŒœŸ’“”‘–…€") <= set("".join(of_codec(WINDOWS_1252, "cp1252")))
    assert len(of_codec(LATIN_1, "latin_1")) > 80 and len(of_codec(WINDOWS_1252, "cp1252")) > 25


@pytest.mark.parametrize("declared", DECLARED, ids=bytes.decode)
def test_a_right_latin_1_name_is_what_it_says(declared: bytes) -> None:
    names = of_codec(LATIN_1, "latin_1")
    pairs = [f"{one}={other}" for one, other in zip(names, reversed(names), strict=True)]
    for name in [*names, *pairs, *(part for name in names for part in name.split("^")), *map(str.upper, names)]:
        if name in of_codec([name], "latin_1"):
            assert decode(name.encode("latin_1"), declared) == name


@pytest.mark.parametrize("declared", DECLARED, ids=bytes.decode)
def test_windows_letters_are_read_as_such(declared: bytes) -> None:
    for name in of_codec(WINDOWS_1252, "cp1252"):
        assert decode(name.encode("cp1252"), declared) == name
        for part in filter(None, name.split("^")):
            assert decode(part.encode("cp1252"), declared) == part


@pytest.mark.parametrize("declared", DECLARED, ids=bytes.decode)
def test_utf_8_is_read_as_such(declared: bytes) -> None:
    for name in [*LATIN_1, *WINDOWS_1252, *JAPANESE, "Ελένη", "Королёв", "שרון", "Μιλ", "MILOŠ", "Hawaiʻi", "قباني",
                 "홍^길동"]:
        assert decode(name.encode(), declared) == name


@pytest.mark.parametrize("declared", DECLARED, ids=bytes.decode)
@pytest.mark.parametrize("name", JAPANESE + HALF_WIDTH)
def test_shift_jis_is_read_as_such(declared: bytes, name: str) -> None:
    assert decode(name.encode("shift_jis"), declared) == name


@pytest.mark.parametrize("text", [
    "37°C ±5", "«CAFÉ»", "«CAFÉ\xa0»", "THÉ\xa0: à part", "Knie, großes", "½ ¾ µm", "Thorax² (3×5)", "É», È\xa0!",
    "¡¿Qué?", "N° 7",
    "LWS §5", "T1 ÷ T2", "Ø 5 mm", "¢£¥ ©®", "ÀÈÌ", "ÄÖÜ", "ÉÉ", "Ä^Ö^Ü^Å",
])
def test_descriptions_in_latin_1_stay(text: str) -> None:
    assert decode(text.encode("latin_1"), b"ISO_IR 100") == text


@pytest.mark.parametrize("text", ["T1 “FLAIR” – axial", "O’Neil’s", "•Knie", "Schädel…", "5 € – „groß“", "™", "‚a‘"])
def test_descriptions_of_windows(text: str) -> None:
    assert decode(text.encode("cp1252"), b"ISO_IR 100") == text


@pytest.mark.parametrize(("declared", "codec", "name"), [
    (b"ISO_IR 101", "cp1250", "Šťastný^Žaneta"), (b"ISO_IR 101", "iso8859_2", "Šťastný^Žaneta"),
    (b"ISO_IR 144", "cp1251", "Ђорђевић^Љубица"), (b"ISO_IR 144", "iso8859_5", "Ђорђевић^Љубица"),
    (b"ISO_IR 126", "iso8859_7", "Ελένη"), (b"ISO_IR 126", "cp1253", "Ελένη’ς"), (b"ISO_IR 148", "cp1254", "Çağ^Œz"),
    (b"ISO_IR 148", "iso8859_9", "Çağ^Öz"), (b"ISO_IR 138", "cp1255", "שרון – א"),
    (b"ISO_IR 203", "iso8859_15", "Œdipe^Žofia"),
    (b"ISO_IR 110", "cp1257", "Š „ą“"), (b"ISO_IR 127", "cp1256", "پروانه"),
])
def test_windows_sets_under_the_names_of_others(declared: bytes, codec: str, name: str) -> None:
    assert decode(name.encode(codec), declared) == name


@pytest.mark.parametrize(("raw", "text"), [
    (b"\x81", "\x81"),                              # Windows has no such letter
    (b"\xd4\xcf", "ÔÏ"), (b"\xdf\xdf\xdf\xdf", "ßßßß"),     # marks that mark nothing
    ("홍길동".encode("euc_kr"), "È«±æµ¿"), ("Иванов".encode("cp1251"), "Èâàíîâ"),     # could be anything: it stays
])
def test_what_cannot_be_told_stays_latin_1(raw: bytes, text: str) -> None:
    assert decode(raw, b"ISO_IR 100") == text


def test_what_comes_with_escape_sequences_is_not_guessed() -> None:
    assert decode(b"\x1b-A" + "ü".encode(), b"ISO 2022 IR 100\\ISO 2022 IR 144") == "Ã¼"


@given(st.binary(min_size=1, max_size=60),
       st.sampled_from(["iso8859", "latin_1", "iso8859_2", "iso_ir_126", "GBK", "x"]))
def test_never_raises_and_needs_a_reason(raw: bytes, encoding: str) -> None:
    text = guess(raw, encoding)
    assert text is None or encoding not in ("GBK", "x") and not raw.isascii()
