"""From the bytes of a DICOM value to text, by its Specific Character Set; nothing raises for what a device sent.

PS3.5 6.1.2 (character sets, code extensions); PS3.3 C.12.1.1.2 (Specific Character Set).
"""
from __future__ import annotations

import codecs
import re
from functools import lru_cache

from dicomserver.index.character_sets import ENCODINGS, ESCAPES, STAND_ALONE, defined_term
from dicomserver.index.mislabelled import guess

_LONGEST = 64  # bytes of (0008,0005) that can matter; the cache shall keep no more
_ESCAPE = b"\x1b"
_DELIMITERS = re.compile(rb"[\\^=\r\n\t\f]")
_LINE_ENDS = re.compile(rb"[\r\n\t\f]")
_PAIRS = re.compile(rb"[\x21-\x7e]+|[^\x21-\x7e]+")

# The escape sequences that make letters of bytes below 80H. The last two are no DICOM but occur: an older
# edition of JIS X 0208, and katakana in seven bits.
_LETTERS_BELOW_80 = {
    b"\x1b$B": "iso2022_jp", b"\x1b$(D": "iso2022_jp_2", b"\x1b$@": "iso2022_jp", b"\x1b(I": "iso2022_jp_ext",
}
_ASCII_BELOW_80 = (b"\x1b(B", b"\x1b(J")
# An escape byte that begins none of them is dropped alone.
_KNOWN = sorted(code[1:] for code in {*ESCAPES, *_LETTERS_BELOW_80})
_ESCAPES = re.compile(rb"(\x1b(?:" + b"|".join(map(re.escape, _KNOWN)) + rb")?)")

# Until an escape sequence comes, these say nothing about bytes from 80H on.
_ASCII_ONLY = frozenset({"iso8859", "iso2022_jp", "iso2022_jp_2"})
# What to try, where it's not the character set, then UTF-8, then the character set with single letters spoilt:
# Windows has larger sets of two bytes under a smaller one's name.
_ATTEMPTS = {
    **dict.fromkeys(_ASCII_ONLY, ("utf_8", "latin_1")),
    "shift_jis": ("shift_jis", "utf_8", "cp932"),
    "euc_kr": ("euc_kr", "utf_8", "cp949"),
    "iso_ir_58": ("iso_ir_58", "utf_8", "gb18030"),
    "GBK": ("GBK", "utf_8", "gb18030"),
}


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    return error.object[error.start:error.end].decode("latin_1"), error.end


# So that one broken letter, as where a value was cut, spoils itself and not the whole value.
_SPOILT = "dicomserver_spoilt_as_latin_1"
codecs.register_error(_SPOILT, _as_latin_1)


@lru_cache(maxsize=256)
def encoding_of(character_set: bytes) -> str:
    """The Python codec of the first value of (0008,0005); unknown terms give UTF-8, as the likeliest."""
    term = defined_term(character_set.split(b"\\")[0])
    return "utf_8" if term is None else ENCODINGS[term]


def decode(value: bytes, character_set: bytes) -> str:
    """All bytes but escape sequences become text, what no character set explains as Latin-1.

    `character_set` is the raw value of (0008,0005). Of several values only the first counts: an escape sequence
    says by itself which set it chooses, and is followed even if that set was not declared. A value without one that
    cannot be what was declared is guessed.
    """
    if value.isascii() and _ESCAPE not in value:
        return value.decode("ascii")
    first = encoding_of(character_set[:_LONGEST])
    if _ESCAPE not in value:
        return guess(value, first) or _decode(value, first)
    if first in STAND_ALONE:
        return _decode(value.replace(_ESCAPE, b""), first)
    return _decode_extended(value, first)


def _decode(value: bytes, encoding: str) -> str:
    *attempts, last = _ATTEMPTS.get(encoding, (encoding, "utf_8", encoding))
    for attempt in attempts:
        try:
            return value.decode(attempt)
        except UnicodeError:
            continue
    return value.decode(last, _SPOILT)


def _decode_extended(value: bytes, first: str) -> str:
    """PS3.5 6.1.2.5: bytes below 80H and bytes above have a set each, which escape sequences choose.

    A delimiter goes back to the first character set. Bytes above keep theirs, where the first has none for them:
    devices that forget the escape sequence after a delimiter mean that.
    """
    text = []
    lower, upper = b"", first  # the escape sequence of the letters below 80H, if it's not ASCII; the codec above
    for part in _ESCAPES.split(value):
        if part in _LETTERS_BELOW_80:
            lower = part
        elif part in _ASCII_BELOW_80:
            lower = b""
        elif part in ESCAPES:
            upper = ESCAPES[part]
        elif part != _ESCAPE:
            at = len(part)
            if lower or upper != first:
                delimiter = (_LINE_ENDS if lower else _DELIMITERS).search(part)
                at = delimiter.start() if delimiter else at
            text.append(_decode_pairs(part[:at], lower, upper) if lower else _decode(part[:at], upper))
            if at < len(part):
                lower, upper = b"", upper if first in _ASCII_ONLY else first
                text.append(_decode(part[at:], upper))
    return "".join(text)


def _decode_pairs(value: bytes, lower: bytes, upper: str) -> str:
    return "".join(
        (lower + run).decode(_LETTERS_BELOW_80[lower], _SPOILT) if 0x21 <= run[0] <= 0x7E else _decode(run, upper)
        for run in _PAIRS.findall(value))
