"""Names in Latin letters, as they are typed by who lacks the keyboard: a second form beside the folded one.

Umlauts, Å and Cyrillic by ICAO Doc 9303-3 section 6 (as passports have them), Greek by ISO 843 type 2 (ELOT 743), kana
by Hepburn without long vowels. Other scripts have no rule that goes letter by letter.
"""
from __future__ import annotations

import re
import unicodedata

from dicomserver.index.text import fold, name_group

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_CYRILLIC = dict(zip(
    "абвгдежзийклмнопрстуфхцчшщъыьэюяєіїўѓђѕјќљњћџ",
    ("a b v g d e zh z i i k l m n o p r s t u f kh ts ch sh shch ie y - e iu ia ie i i u g d dz j k lj nj c dz"
     ).replace("-", "").split(" "), strict=True))
_GREEK = dict(zip("αβγδεζηθικλμνξοπρστυφχψω",
                  "a v g d e z i th i k l m n x o p r s t y f ch ps o".split(), strict=True))
_ALONE = str.maketrans(_CYRILLIC | _GREEK)
# Before they are taken alone. αυ, ευ and ηυ end as v before what is voiced, else as f.
_TOGETHER = [(re.compile(found), written) for found, written in (
    (r"\bμπ", "b"), ("ου", "ou"), ("γγ", "ng"), ("γξ", "nx"), ("γχ", "nch"),
    ("([αεη])υ(?=[αεηιοωβγδζλμνρ])", r"\1v"), ("([αεη])υ", r"\1f"))]
_BEYOND_LATIN = re.compile("[\u0370-\u04ff]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fc\uff66-\uff9f]+")
_HEPBURN = {"si": "shi", "ti": "chi", "tu": "tsu", "hu": "fu", "zi": "ji", "di": "ji", "du": "zu", "wo": "o"}
_DOUBLED = "ッ"


def transcribed(text: str) -> str:
    """The text, folded, in Latin letters as far as there is a rule; as `fold` gives it where there is nothing to do.

    Wildcards and delimiters stay where they are.
    """
    if text.isascii():
        return fold(text)
    text = unicodedata.normalize("NFC", text).lower().translate(_UMLAUTS)
    folded = fold(_KANA.sub(_romaji, text))
    if not _BEYOND_LATIN.search(folded):
        return folded
    for found, written in _TOGETHER:
        folded = found.sub(written, folded)
    return fold(folded.translate(_ALONE))


def name_in_latin(text: str) -> str:
    """The alphabetic group of a PN value, or the phonetic one where that is missing, folded and in Latin letters; ""
    where the folded alphabetic group says the same already."""
    alphabetic, *others = text.split("=", 3)[:3]
    group = name_group(alphabetic)
    if group and alphabetic.isascii():
        return ""
    latin = name_group(transcribed(alphabetic if group else "".join(others[1:])))
    return "" if latin == group else latin


def _romaji(kana: re.Match) -> str:
    syllables: list[str] = []
    for letter in unicodedata.normalize("NFKC", kana[0]):
        syllables += _syllable(letter, syllables)
    return re.sub(f"{_DOUBLED}+(.?)", r"\1\1", "".join(syllables)).replace("cch", "tch")


def _syllable(letter: str, before: list[str]) -> list[str]:
    """What the letter adds; a small one changes the syllable before it."""
    name = unicodedata.name(letter, "").lower()
    sound = name.rpartition(" ")[2]
    if " letter " not in name:
        return []       # the prolonged sound mark: Hepburn's long vowels are not typed
    if " small " not in name:
        return [_HEPBURN.get(sound, sound)]
    if sound == "tu":
        return [_DOUBLED]
    if before and sound[0] == "y" and before[-1].endswith("i"):
        stem = before.pop()[:-1]
        return [stem + (sound[1:] if stem in ("sh", "ch", "j") else sound)]
    if before and len(sound) == 1 and before[-1] != _DOUBLED:
        return [before.pop()[:-1] + sound]
    return [sound]
