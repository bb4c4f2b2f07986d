"""The way back: text as the bytes of an answer, in a character set that the asker knows and that has every letter.

PS3.3 C.12.1.1.2 (Specific Character Set), PS3.5 6.1.2.5 (code extensions).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from dicomserver.index.character_sets import ENCODINGS, ESCAPES, STAND_ALONE, defined_term
from dicomserver.index.decoding import decode

_LONGEST = 512  # bytes of (0008,0005); a list of all the terms is shorter
_SHORT = 256  # bytes of a value that may be remembered
_UTF_8 = b"ISO_IR 192"
_DELIMITERS = frozenset("\\\r\n\t\f")
_DELIMITERS_OF_NAMES = frozenset("^=")
_ASCII, _ROMAJI = b"\x1b(B", b"\x1b(J"
_ESCAPE_OF = {encoding: escape for escape, encoding in ESCAPES.items() if escape not in (_ASCII, _ROMAJI)}
_ONE_BYTE = b"\x1b-"
_BELOW_80 = (b"\x1b$B", b"\x1b$(D")  # these sets have their letters there, two bytes each, in the place of ASCII
_UNSURE = b""  # in place of an escape sequence: readers agree about nothing but ASCII


class _Sets(NamedTuple):
    """What one (0008,0005) lets a value use; a set is known by its escape sequence."""

    first: bytes  # the set at the beginning of a value and after a delimiter
    back: bytes  # the escape sequence from letters below 80H to the first value's ASCII or romaji
    all: tuple[bytes, ...]


def represent(texts: Sequence[tuple[str, str]], asked: bytes) -> tuple[bytes, list[bytes]]:
    """The raw (0008,0005) of an answer and its values in that order, all padded with a space to even length.

    `texts` has (text, VR) of every value that is not plain ASCII, as `decode` gives them, so without escape
    characters; a text may hold several values. `asked` is the raw (0008,0005) of the request: its character set is
    taken if it has every letter, else UTF-8. No letter is ever replaced by another one.
    """
    character_set, encode = _answer_to(asked[:_LONGEST])
    try:
        return character_set, [_even(encode(text, vr)) for text, vr in texts]
    except UnicodeEncodeError:
        return _UTF_8, [_even(text.encode("utf_8", "backslashreplace")) for text, _ in texts]


def represent_stored(texts: Sequence[tuple[bytes, bytes, str]], asked: bytes) -> tuple[bytes, list[bytes]]:
    """The same of values as the index has them: (value, raw character set, VR). Any thread."""
    asked = asked[:_LONGEST]
    try:
        return _answer_to(asked)[0], [
            (_known if len(value) <= _SHORT else _represented)(value, character_set, vr, asked)
            for value, character_set, vr in texts]
    except UnicodeEncodeError:
        return represent([(decode(value, character_set), vr) for value, character_set, vr in texts], asked)


def _represented(value: bytes, character_set: bytes, vr: str, asked: bytes) -> bytes:
    return _even(_answer_to(asked)[1](decode(value, character_set), vr))


# Physicians and descriptions come again in one answer, and whole answers where a workplace asks every minute.
_known = lru_cache(maxsize=2048)(_represented)


def _even(value: bytes) -> bytes:
    return value + b" " if len(value) & 1 else value


@lru_cache(maxsize=64)
def _answer_to(asked: bytes) -> tuple[bytes, Callable[[str, str], bytes]]:
    """The (0008,0005) that `asked` means, in the standard's own words, and what encodes a text of a VR by it."""
    first, *others = (defined_term(value) for value in asked.split(b"\\"))
    if first is None or ENCODINGS[first] in STAND_ALONE:
        term = first or "ISO_IR 192"
        return _even(term.encode()), partial(_encode, ENCODINGS[term])
    terms = _terms(first, others)
    escapes = [_ESCAPE_OF.get(ENCODINGS[term], _UNSURE) for term in terms]
    if escapes == [_UNSURE]:
        return _UTF_8, partial(_encode, "utf_8")
    character_set = _even("\\".join(terms).encode())
    if len(escapes) == 1 and escapes[0].startswith(_ONE_BYTE):
        return character_set, partial(_encode, ENCODINGS[first])
    back = _ROMAJI if ENCODINGS[first] == "shift_jis" else _ASCII
    return character_set, partial(_encode_extended, _Sets(escapes[0], back, tuple(filter(None, escapes))))


def _terms(first: str, others: Sequence[str | None]) -> list[str]:
    """Without what cannot extend, each once; as one of several a term has another name than alone."""
    terms = [first, *(term for term in others if term and ENCODINGS[term] in _ESCAPE_OF)]
    if b"$" in _ESCAPE_OF.get(ENCODINGS[first], b""):
        terms.insert(0, "")  # letters of two bytes need an escape sequence, so this can't be the first value
    terms = list(dict.fromkeys(term.replace("ISO_IR", "ISO 2022 IR") for term in terms))
    return terms if len(terms) > 1 else [terms[0].replace("ISO 2022 IR", "ISO_IR")]


def _encode(encoding: str, text: str, _vr: str) -> bytes:
    return text.encode(encoding)


def _encode_extended(sets: _Sets, text: str, vr: str) -> bytes:
    """PS3.5 6.1.2.5.3. UnicodeEncodeError if some letter is in none of the sets.

    Readers disagree about two things, and one escape sequence too much makes them agree. Some take every one for a
    change of both halves, not only of the bytes below or from 80H on: so here the last one alone counts. And ^ and =
    are delimiters in a PN only, but to some in all text: where both sides of one could differ, each gets its own.
    """
    encoded = bytearray()
    current = sets.first
    for letter in text:
        if letter.isascii():
            if current in _BELOW_80:
                encoded += sets.back
                current = _UNSURE
            ends = letter in _DELIMITERS or letter in _DELIMITERS_OF_NAMES and (vr == "PN" or sets.first)
            if ends and current != sets.first:
                current = sets.first if vr == "PN" else _UNSURE
            encoded += _ascii(letter, sets.back)
            continue
        escape, code = _find(letter, current, sets)
        if escape != current:
            if current in _BELOW_80 and escape not in _BELOW_80:
                encoded += sets.back
            encoded += escape
            current = escape
        encoded += code
    return bytes(encoded + sets.back if current in _BELOW_80 else encoded)


def _ascii(letter: str, back: bytes) -> bytes:
    if letter == "\x1b" or letter == "~" and back == _ROMAJI:  # romaji has an overline in its place
        raise UnicodeEncodeError("ascii", letter, 0, 1, "not in this set")
    return letter.encode("ascii")


def _find(letter: str, current: bytes, sets: _Sets) -> tuple[bytes, bytes]:
    """The set that has the letter, the current one if possible, and the letter's bytes there."""
    for escape in (current, *sets.all):
        code = _code(letter, escape)
        if code:
            return escape, code
    raise UnicodeEncodeError("iso2022", letter, 0, 1, "in none of the sets")


@lru_cache(maxsize=8192)
def _code(letter: str, escape: bytes) -> bytes:
    """The letter's bytes in the set of that escape sequence, none if it isn't there.

    Python's codecs have more: Shift JIS letters of two bytes, Hangul made up of eight, JIS X 0208 within JIS X 0212.
    """
    if escape == _UNSURE:
        return b""
    try:
        code = letter.encode(ESCAPES[escape])
    except UnicodeEncodeError:
        return b""
    if escape in _BELOW_80:
        return code[len(escape):len(escape) + 2] if code.startswith(escape) else b""
    length = 2 if escape.startswith(b"\x1b$") else 1
    return code if len(code) == length and min(code) >= 0xA0 else b""
