"""The character sets of PS3.3 C.12.1.1.2, each with a name and a word that it can say."""
from __future__ import annotations

from typing import NamedTuple

from pydicom.dataset import Dataset

from tests.interop.find.keys import LATIN_9, encodings_of, tag_of


class Script(NamedTuple):
    """A (0008,0005), a name, and a description in the same script."""

    character_set: str
    name: str
    words: str


_LATIN_1, _LATIN_2 = ("Buc^Jérôme", "Schädel à part"), ("Dvořák^Łukasz", "Čéška źle")
_LATIN_3, _LATIN_4 = ("Ĝauss^Ħabib", "Ĉevalo ŝi"), ("Bērziņš^Kārlis", "Šķēle ūdens")
_LATIN_9 = ("Cœur^Žofia", "Škoda œil")
_CYRILLIC, _ARABIC = ("Люксембург^Роза", "Голова и шея"), ("قباني^لنزار", "صورة الرأس")
_GREEK, _HEBREW = ("Διονυσιος^Αννα", "Κεφαλή"), ("שרון^דבורה", "ראש וצוואר")
_TURKISH, _THAI = ("Çavuşoğlu^Işık", "Göğüs ağrısı"), ("นามสกุล^ชื่อจริง", "ศีรษะ")
_KANA = ("ﾔﾏﾀﾞ^ﾀﾛｳ", "ｱﾀﾏ")
_JAPANESE = ("Yamada^Tarou=山田^太郎=やまだ^たろう", "頭部と頸部")
_KANA_KANJI = ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "頭部")
_RARE_KANJI = ("Oka^Oto=丂丄^仡", "丂丄亹")
_KOREAN = ("Hong^Gildong=洪^吉洞=홍^길동", "두부와 목")
_CHINESE = ("Zhang^XiaoDong=张^小东", "头部检查")
_TAIWANESE = ("Wang^XiaoDong=王^小東", "頭部檢查")

SCRIPTS = [
    Script("", "Doe^John", "Head and neck"),
    Script("ISO_IR 6", "Doe^Jane", "Head and neck"),
    *(Script(character_set, *texts) for number, texts in (
        ("100", _LATIN_1), ("101", _LATIN_2), ("109", _LATIN_3), ("110", _LATIN_4), ("203", _LATIN_9),
        ("144", _CYRILLIC), ("127", _ARABIC), ("126", _GREEK), ("138", _HEBREW), ("148", _TURKISH), ("166", _THAI),
        ("13", _KANA))
      for character_set in (f"ISO_IR {number}", f"ISO 2022 IR {number}")),
    Script("ISO 2022 IR 6", "Doe^Jim", "Head and neck"),
    Script("\\ISO 2022 IR 87", *_JAPANESE),
    Script("ISO 2022 IR 6\\ISO 2022 IR 87", *_JAPANESE),
    Script("ISO 2022 IR 13\\ISO 2022 IR 87", *_KANA_KANJI),
    Script("\\ISO 2022 IR 87\\ISO 2022 IR 159", *_JAPANESE),
    Script("\\ISO 2022 IR 159", *_RARE_KANJI),
    Script("\\ISO 2022 IR 149", *_KOREAN),
    Script("\\ISO 2022 IR 58", *_CHINESE),
    Script("ISO 2022 IR 6\\ISO 2022 IR 100\\ISO 2022 IR 144", "Buc^Jérôme=Люксембург^Роза", "Tête голова"),
    Script("ISO 2022 IR 100\\ISO 2022 IR 126", "Buc^Jérôme=Διονυσιος", "Tête Κεφαλή"),
    Script("ISO_IR 192", "Müller^Zoë=王^小東=やまだ", "Κεφαλή 头 голова ראש"),
    Script("GB18030", *_TAIWANESE),
    Script("GBK", *_CHINESE),
]


def said(match: Dataset, keyword: str) -> str:
    """A value of an answer, decoded by pydicom, but for the two sets that it cannot read."""
    declared = match.get("SpecificCharacterSet") or ""
    if "ISO 2022 IR 58" in declared:
        return match.get_item(tag_of(keyword)).value.replace(b"\x1b$)A", b"").decode("gb2312").strip()
    if declared in LATIN_9:
        return match.get_item(tag_of(keyword)).value.decode("iso8859_15").strip()
    return str(match[keyword].value)


def can_say(character_set: str, text: str) -> bool:
    """Whether each of its letters is in one of the sets that the asker names; ASCII is in all of them."""
    return all(c.isascii() or any(_has(codec, c) for codec in encodings_of(character_set)) for c in text)


# These codecs know more sets than the one that DICOM means.
_DESIGNATIONS = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}


def _has(codec: str, letter: str) -> bool:
    if codec in ("iso8859", "ascii"):
        return letter.isascii()     # the default repertoire; Python's codec of that name is Latin-1
    if codec == "shift_jis":
        return "\uff61" <= letter <= "\uff9f"       # JIS X 0201; the codec can do more
    try:
        written = letter.encode(codec)
    except UnicodeError:
        return False
    return written.startswith(_DESIGNATIONS.get(codec, b"")) and written.decode(codec) == letter
