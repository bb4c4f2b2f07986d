"""From the raw bytes of a DICOM value to text that can be searched; nothing raises for what a device sent.

PS3.5 6.1.2 (character sets), 6.2 (value representations); PS3.3 C.12.1.1.2 (Specific Character Set).
"""
from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache

from dicomserver.index.character_sets import ENCODINGS, ESCAPES

TEXT_LIMIT = 1024  # bytes of UTF-8 that a searchable column holds at most
_NOT_A_LETTER = re.compile(r"[^A-Z0-9]")
_FRAGMENTS = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_DELIMITERS = re.compile(rb"[\\^=\r\n\t\f]")
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)|(\d{4})\.(\d\d)\.(\d\d)", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):?(?:([0-5]\d):?(?:([0-5]\d|60)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,12}(?:\.0*)?", re.ASCII)

# Devices write ISO_IR 100 as ISO-IR 100, ISO IR 100 and so on: only letters and digits tell the terms apart.
_ENCODINGS = {_NOT_A_LETTER.sub("", term): encoding for term, encoding in ENCODINGS.items()}


@lru_cache(maxsize=256)
def encoding_of(character_set: bytes) -> str:
    """The Python codec of the first value of (0008,0005); unknown terms give UTF-8, as the likeliest."""
    first = character_set.split(b"\\")[0].decode("ascii", "replace").strip(" \0").upper()
    return _ENCODINGS.get(_NOT_A_LETTER.sub("", first), "utf_8")


def decode(value: bytes, character_set: bytes) -> str:
    """All bytes become text: what the character set can't explain is read as UTF-8, then as Latin-1."""
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    first = encoding_of(character_set)
    if b"\x1b" not in value:
        return _decode_plain(value, first)
    return "".join(_decode_fragment(fragment, first) for fragment in _FRAGMENTS.findall(value))


def _decode_plain(value: bytes, encoding: str) -> str:
    for candidate in (encoding, "utf_8"):
        try:
            return value.decode(candidate)
        except UnicodeError:
            continue
    return value.decode("latin_1")


def _decode_fragment(fragment: bytes, first: str) -> str:
    if not fragment.startswith(b"\x1b"):
        return _decode_plain(fragment, first)
    length = 4 if fragment.startswith((b"\x1b$(", b"\x1b$)")) else 3
    encoding = ESCAPES.get(fragment[:length])
    if encoding is None:
        return _decode_plain(fragment[1:], first)
    if encoding in ("iso2022_jp", "iso2022_jp_2"):
        # These codecs want the escape sequence, and their two-byte letters may look like delimiters.
        return fragment.decode(encoding, "replace")
    fragment = fragment[length:]
    # PS3.5 6.1.2.5.3: a delimiter switches back to the first character set.
    delimiter = _DELIMITERS.search(fragment)
    if delimiter is None:
        return _decode_plain(fragment, encoding)
    at = delimiter.start()
    return _decode_plain(fragment[:at], encoding) + _decode_plain(fragment[at:], first)


def searchable(value: bytes | None, character_set: bytes) -> str | None:
    """The text of a value without padding, at most TEXT_LIMIT bytes of UTF-8; None if nothing is left."""
    if not value:
        return None
    text = decode(value, character_set).replace("\0", "").strip()
    return bounded(text) or None


def bounded(text: str) -> str:
    """The text cut at a character's border to TEXT_LIMIT bytes of UTF-8."""
    if len(text) * 4 <= TEXT_LIMIT:
        return text
    return text.encode("utf_8", "replace")[:TEXT_LIMIT].decode("utf_8", "ignore").rstrip()


def fold(text: str | None) -> str | None:
    """For searching: without case, accents and compatibility forms, again at most TEXT_LIMIT bytes."""
    if text is None:
        return None
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text)
    return bounded("".join(c for c in apart if not unicodedata.combining(c)).casefold())


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
    match = _TIME.fullmatch(_plain(value))
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
