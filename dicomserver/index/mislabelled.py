"""What a text says that came under a smaller character set's name: UTF-8, Windows' sets and Shift JIS as Latin-1.

A right text that is read wrongly is worse than a wrong one that stays as it is: so each guess needs what no name or
description has that is what it was declared as. (Korean, Chinese, Greek and Cyrillic letters, sent as Latin-1, cannot
be told from each other; they stay Latin-1.)
"""
from __future__ import annotations

import re
import unicodedata

# ISO 8859 has control characters from 80H to 9FH, Windows letters: who sends these means Windows' set.
_CONTROLS = re.compile(rb"[\x80-\x9f]")
_OF_WINDOWS = {
    "iso8859": "cp1252", "latin_1": "cp1252", "iso8859_15": "cp1252", "iso8859_2": "cp1250", "iso8859_4": "cp1257",
    "iso_ir_110": "cp1257", "iso_ir_126": "cp1253", "iso_ir_127": "cp1256", "iso_ir_138": "cp1255",
    "iso_ir_144": "cp1251", "iso_ir_148": "cp1254",
}
_DEFAULTS = ("iso8859", "latin_1")      # what a device declares that knows nothing of character sets
# Without these no guess can be right: most names in Latin-1 have no sign, and no two letters beyond ASCII side by side.
_ODD = re.compile(rb"[\x80-\xbf]|[\x80-\xff]{2}")
_WORDS = re.compile(r"[^\s^=\\,/()]+")
# Where Windows' signs stand in Latin text: quotation marks, dashes and dots around a word, not within it.
_AROUND = "„“”‘’‚«»‹›–—…•-.:;!?\"'"
_WITHIN = frozenset("’–´·\u00ad")
# French capitals before a closing quotation mark or a space that does not break: as UTF-8 no letters of any name.
_FRENCH = re.compile(rb"(?:[\x00-\x7f]|[\xc7-\xcb][\xa0\xbb](?![A-Za-z]))*")
_HALF_WIDTH_WORD = re.compile(rb"[\xa6\xb1-\xdd][\xa5-\xdf]*")
_SIGNS = re.compile(rb"[\xa1-\xbf]")     # in Latin-1
_WORD_BYTES = re.compile(rb"[^\s^=\\,]+")


def guess(value: bytes, encoding: str) -> str | None:
    """The text of a value that is not what its character set's codec says; None if it may well be that.

    value: without escape sequences, not ASCII alone.
    """
    if encoding in _DEFAULTS and _ODD.search(value):
        found = _utf_8(value) or _half_width_kana(value) or _shift_jis(value)
        if found is not None:
            return found
    if encoding in _OF_WINDOWS and _CONTROLS.search(value):
        return _read(value, _OF_WINDOWS[encoding])
    return None


def _read(value: bytes, codec: str) -> str | None:
    try:
        return value.decode(codec)
    except UnicodeError:
        return None


def _utf_8(value: bytes) -> str | None:
    return None if _FRENCH.fullmatch(value) else _read(value, "utf_8")


def _half_width_kana(value: bytes) -> str | None:
    """Katakana of one byte each are capital letters and signs in Latin-1. So there have to be some, no word may have
    ASCII letters beside them, or begin with a sign, and each voiced mark has to follow a letter that it fits."""
    words = [word for word in _WORD_BYTES.findall(value) if not word.isascii()]
    letters = b"".join(words)
    if not all(map(_HALF_WIDTH_WORD.fullmatch, words)) or len(letters) < (3 if _SIGNS.search(letters) else 4):
        return None
    text = _read(value, "shift_jis")
    unmarked = text is not None and not re.search("[\u3099\u309a]", unicodedata.normalize("NFKC", text))
    return text if unmarked else None


def _shift_jis(value: bytes) -> str | None:
    if not _CONTROLS.search(value) or _is_latin(value):
        return None
    text = _read(value, "shift_jis")
    letters = [letter for letter in text or "" if not letter.isascii()]
    return text if len(letters) > 1 and all(map(_is_japanese, letters)) else None


def _is_latin(value: bytes) -> bool:
    """Whether the value makes sense in Windows' Latin-1: most letters are ASCII, signs stand around words."""
    text = _read(value, "cp1252")
    if text is None:
        return False
    words = [word.strip(_AROUND) for word in _WORDS.findall(text)]
    beyond = [letter for word in words for letter in word if not letter.isascii() and letter not in _WITHIN]
    ascii_letters = sum(letter.isascii() and letter.isalpha() for letter in text)
    return all(map(str.isalpha, beyond)) and 0 < ascii_letters >= len(beyond)


def _is_japanese(letter: str) -> bool:
    """Kana, kanji, full-width forms, and the signs that names and descriptions have among them."""
    return "\u3000" <= letter <= "\u30ff" or "\u4e00" <= letter <= "\u9fff" or "\uff01" <= letter <= "\uff9f"
