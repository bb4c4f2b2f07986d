"""What is asked of a server that holds the population, and how many studies it has to find.

Names are asked for in ASCII, and only where case, accents and Latin letters make no difference to the number: a server
that compares otherwise than ours has to find as many.
"""
from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from dicomserver.index.text import fold
from dicomserver.index.transcription import name_in_latin
from tests.bench.asking import Question, identifier
from tests.bench.population import Study, studies

ABOUT = {"prefix": 5, "substring": 100}     # matches
DIFFERENT = 40                              # questions of a kind at most
PATIENT_NAME, PATIENT_ID, STUDY_UID = 0x00100010, 0x00100020, 0x0020000D
STUDY_DATE, ACCESSION_NUMBER = 0x00080020, 0x00080050
# What a list of studies shows; all that has one value in each study's own row.
SHOWN = {STUDY_DATE: "DA", 0x00080030: "TM", ACCESSION_NUMBER: "SH", 0x00081030: "LO", PATIENT_NAME: "PN",
         PATIENT_ID: "LO", 0x00100030: "DA", STUDY_UID: "UI"}
# And what has to be gathered from the study's series and instances.
GATHERED = {0x00080061: "CS", 0x00201206: "IS", 0x00201208: "IS"}

KINDS = {
    "patient": "exact patient id",
    "accession": "exact accession number",
    "uid": "study instance UID",
    "prefix": "name prefix, few matches",
    "day": "window of one day",
    "substring": "*substring* of a name",
    "all": "all studies",
    "gathered": "all studies, modalities, counts",
}
LARGE = {"all", "gathered"}


def questions(number: int, seed: int = 1) -> dict[str, list[Question]]:
    """By kind, in the order of KINDS, about the first `number` studies of the population."""
    everything = list(studies(number, seed))
    some = everything[::max(1, number // DIFFERENT)][:DIFFERENT]
    names = _Names(everything)
    return {
        "patient": _exact(PATIENT_ID, everything, some, lambda study: study.patient.patient_id),
        "accession": _exact(ACCESSION_NUMBER, everything, some, lambda study: study.accession_number),
        "uid": _exact(STUDY_UID, everything, some, lambda study: study.uid),
        "prefix": [_question(PATIENT_NAME, text.upper() + "*", many) for text, many in names.prefixes()],
        "day": _exact(STUDY_DATE, everything, some, lambda study: f"{study.date}-{study.date}"),
        "substring": [_question(PATIENT_NAME, f"*{text.upper()}*", many) for text, many in names.substrings()],
        "all": [_question(0, "", number)],
        "gathered": [_question(0, "", number, GATHERED)],
    }


def _question(tag: int, value: str, matches: int, more: dict[int, str] = {}) -> Question:
    return Question(identifier((one, vr, value if one == tag else "") for one, vr in (SHOWN | more).items()), matches)


def _exact(tag: int, everything: Iterable[Study], some: Iterable[Study], of: Callable[[Study], str]) -> list[Question]:
    counts = Counter(map(of, everything))
    return [_question(tag, of(study), counts[of(study)]) for study in some]


class _Names:
    """The names of all patients, counted by studies, with case alone taken away, and in all our forms."""

    def __init__(self, everything: Iterable[Study]) -> None:
        self._counts = Counter(study.patient.name for study in everything)
        self._lower = {name: name.lower().split("=") for name in self._counts}
        self._forms = {name: [*(fold(name) or "").split("="), name_in_latin(name)] for name in self._counts}

    def prefixes(self) -> Iterator[tuple[str, int]]:
        """`doe^j` and how many studies have a name that begins so, some near ABOUT."""
        counts: Counter[str] = Counter()
        for name, many in self._counts.items():
            family, _, given = self._lower[name][0].partition("^")
            for length in range(1, min(4, len(given)) + 1):
                counts[f"{family}^{given[:length]}"] += many
        return self._agreed(counts, ABOUT["prefix"], str.startswith)

    def substrings(self) -> Iterator[tuple[str, int]]:
        """Three to five letters out of names, likewise."""
        counts: Counter[str] = Counter()
        for name, many in self._counts.items():
            words = re.findall("[a-z]+", self._lower[name][0])
            for text in {word[at:at + length] for word in words for length in (3, 4, 5)
                         for at in range(len(word) - length + 1)}:
                counts[text] += many
        return self._agreed(counts, ABOUT["substring"], str.__contains__)

    def _agreed(self, counts: Counter[str], about: int,
                matches: Callable[[str, str], bool]) -> Iterator[tuple[str, int]]:
        nearest = sorted((text for text in counts if text.isascii()),
                         key=lambda text: (abs(counts[text] - about), zlib.crc32(text.encode())))

        def agreed() -> Iterator[tuple[str, int]]:
            for text in nearest:
                lower, ours = (self._count(groups, text, matches) for groups in (self._lower, self._forms))
                if lower == ours == counts[text]:     # it stands nowhere else in these names either
                    yield text, lower
        return islice(agreed(), DIFFERENT // 2)

    def _count(self, groups: dict[str, list[str]], text: str, matches: Callable[[str, str], bool]) -> int:
        return sum(many for name, many in self._counts.items() if any(matches(group, text) for group in groups[name]))
