"""What names sound like, for fuzzy semantic matching (PS3.4 C.2.2.2.1.1): a code for each way to say each word.

Double Metaphone, which knows how names of many European languages are said in English and at home. It hears Latin
letters; of other scripts' names it gets what index/transcription.py makes of them.
"""
from __future__ import annotations

import re
from functools import lru_cache

from doublemetaphone import doublemetaphone

from dicomserver.index.text import name_groups
from dicomserver.index.transcription import name_in_latin

LONGEST_WORD = 64       # letters that are heard
MOST_WORDS = 64         # of a key
_SILENT = re.compile("['’‘`´]")    # O'Neil is one word
_BETWEEN = re.compile(r"[\W_]+")

Words = tuple[frozenset[str], ...]


def sounds_of(form: str) -> str | None:
    """The codes of a stored name: each once, in order, with spaces between; None where there are none. form: the name
    in Latin letters (transcription.name_in_latin), or its folded alphabetic group where that says the same."""
    codes = frozenset().union(*_heard(form))
    return " ".join(sorted(codes)) or None


def sounds_asked(key: str) -> Words:
    """The codes of each word of a key for a PN, of which a name that matches has one each, in any order.

    None are there where a sound is not all that is asked for: another component group, or a wildcard but for those
    behind words, which many clients add to whatever was typed.
    """
    first, *others = name_groups(key)
    if any(group.strip("*") for group in others):
        return ()
    words = re.sub(r"\*(?=\^|$)", "", name_in_latin(key) or first)
    heard = () if re.search("[*?]", words) else tuple(dict.fromkeys(_heard(words)))
    return heard if len(heard) <= MOST_WORDS else ()


def _heard(text: str) -> list[frozenset[str]]:
    return [_codes(word[:LONGEST_WORD]) for word in _BETWEEN.split(_SILENT.sub("", text)) if word]


@lru_cache(maxsize=4096)
def _codes(word: str) -> frozenset[str]:
    """In capitals; what cannot be said, or is not in Latin letters, stands for itself."""
    codes = filter(None, doublemetaphone(word)) if word.isascii() else ()
    return frozenset(codes) or frozenset({word.upper() if word.isascii() else word})
