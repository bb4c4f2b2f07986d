"""From the raw bytes of a DICOM value to text that can be searched; nothing raises for what a device sent.

PS3.5 6.2 (value representations), PS3.4 C.2.2.2 (what matches what).
"""
from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache

from dicomserver.index.decoding import decode

TEXT_LIMIT = 1024  # bytes of UTF-8 that a searchable column holds at most
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)|(\d{4})\.(\d\d)\.(\d\d)", re.ASCII)
TIME = re.compile(r"([01]\d|2[0-3]):?(?:([0-5]\d):?(?:([0-5]\d|60)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,12}(?:\.0*)?", re.ASCII)
# Marks that are no part of a letter's identity: accents, the points of Hebrew and Arabic (with hamza, madda and the
# stroke that only stretches a word), and what nobody sees: hyphenation, joiners, direction, variants of a glyph. In
# folded text the voiced marks of kana and the vowels of all other scripts remain.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8"
    "\u06ea-\u06ed\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]")
# Letters of their own on every keyboard of their alphabets, though Unicode decomposes them; not so the Russian ё.
_WHOLE = frozenset("йўїѓќ")
# What Unicode does not decompose, yet is typed as another letter.
_TYPED_AS = {
    "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th",
    "ґ": "г",                                               # one letter from 1933 to 1990
    "ٱ": "ا", "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه",       # Persian keyboards, and endings of words
    "髙": "高", "﨑": "崎",                                 # which JIS X 0208 lacks
}


def _large_katakana() -> dict[str, str]:
    """Hiragana and small kana: to Unicode's collation they differ from large katakana as case does, and old systems
    have nothing else. Voiced marks and the prolonged sound mark tell names apart."""
    table = {}
    for letter in map(chr, (*range(0x3041, 0x30ff), *range(0x31f0, 0x3200))):
        name = unicodedata.name(letter, "")
        if " LETTER " in name or "ITERATION" in name:
            table[letter] = unicodedata.lookup(name.replace("HIRAGANA", "KATAKANA").replace(" SMALL ", " "))
    return table


_LETTERS = str.maketrans({**_TYPED_AS, **_large_katakana()})
_WILDCARD = re.compile("[*?]")
_SIGNS = re.compile(r"[*?\\^=]")


def searchable(value: bytes | None, character_set: bytes) -> str | None:
    """The text of a value without padding, at most TEXT_LIMIT bytes of UTF-8; None if nothing is left."""
    if not value:
        return None
    return bounded(one_value(value, character_set)) or None


def split_values(value: bytes, character_set: bytes) -> list[str]:
    """The texts of a value of several, without padding; none if there is nothing, "" for an empty one among others.

    A backslash that is half of a letter, as in Shift JIS and GBK, splits nothing.
    """
    text = one_value(value, character_set)
    return [one.strip() for one in text.split("\\")] if text else []


def one_value(value: bytes, character_set: bytes) -> str:
    """The text of a value in which a backslash is a letter, without padding."""
    return decode(value, character_set).replace("\0", "").strip()


def bounded(text: str) -> str:
    """The text cut at a character's border to TEXT_LIMIT bytes of UTF-8."""
    if len(text) * 4 <= TEXT_LIMIT:
        return text
    return text.encode("utf_8", "replace")[:TEXT_LIMIT].decode("utf_8", "ignore").rstrip()


def fold(text: str | None) -> str | None:
    """For searching: without case, accents, points and width, kana as katakana, again at most TEXT_LIMIT bytes.

    Folding twice changes nothing. No wildcard and no delimiter appears that was none before: a full-width asterisk
    stays one.
    """
    if text is None:
        return None
    if text.isascii():
        return bounded(text.lower())
    return bounded(unicodedata.normalize("NFC", "".join(map(_fold_letter, unicodedata.normalize("NFC", text)))))


@lru_cache(maxsize=4096)
def _fold_letter(letter: str) -> str:
    """Decomposed; what remains of it needs no further folding."""
    folded = unicodedata.normalize("NFKD", letter)
    if _SIGNS.search(folded):
        return letter
    if letter.casefold() in _WHOLE:
        return letter.casefold()
    folded = _MARKS.sub("", folded).casefold().translate(_LETTERS)
    return folded if folded == letter else "".join(map(_fold_letter, folded))


def beginning(pattern: str) -> str:
    """What stands before the first wildcard of a key."""
    return _WILDCARD.split(pattern, maxsplit=1)[0]


def name_groups(text: str) -> tuple[str, str, str]:
    """The folded alphabetic, ideographic and phonetic group of a PN value or of a key for one, "" where absent.

    PS3.5 6.2.1: components without spaces around them, and none that are empty at the end. Wildcards stay.
    """
    groups = [name_group(group) for group in text.split("=", 3)[:3]]
    return groups[0], groups[1] if len(groups) > 1 else "", groups[2] if len(groups) > 2 else ""


def name_group(group: str) -> str:
    """One component group, folded."""
    folded = fold(group) or ""
    return "^".join(component.strip(" \0") for component in folded.split("^")).rstrip("^")


def comparable(text: str) -> str:
    """What is equal if two devices mean the same: without case, spare spaces, trailing delimiters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip("^= ")


def date_of(value: bytes | None) -> str | None:
    """A DA value as YYYYMMDD (also from the ACR-NEMA form YYYY.MM.DD), None if no calendar has that day."""
    match = _DATE.fullmatch(_plain(value))
    if match is None:
        return None
    year, month, day = (part for part in match.groups() if part is not None)
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return None
    return year + month + day


def time_of(value: bytes | None) -> str | None:
    """A TM value as HHMMSS.FFFFFF, with zeros for what it leaves out, so that times compare as text."""
    match = TIME.fullmatch(_plain(value))
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups()
    return f"{hours}{minutes or '00'}{seconds or '00'}.{(fraction or '').ljust(6, '0')}"


def integer_of(value: bytes | None) -> int | None:
    """An IS value; None beyond the 32 bits that PS3.5 gives it."""
    text = _plain(value)
    if _INTEGER.fullmatch(text) is None:
        return None
    number = int(text.split(".")[0])
    return number if -(2**31) <= number < 2**31 else None


def _plain(value: bytes | None) -> str:
    return (value or b"")[:64].decode("latin_1").strip(" \0")
