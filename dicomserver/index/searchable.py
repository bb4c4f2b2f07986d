"""The columns that can be searched, decoded from the packed attributes of each level.

The raw bytes stay beside them, so a later migration can fill more columns without reading the archive.
What can't be read is None in a column and never an error. The fields are named as the columns are.
"""
from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from dicomserver.index.sounds import sounds_of
from dicomserver.index.text import (
    TEXT_LIMIT,
    comparable,
    date_of,
    decode,
    fold,
    integer_of,
    name_groups,
    searchable,
    time_of,
)
from dicomserver.index.transcription import name_in_latin
from dicomserver.wire.packed import top_level, value_of

_INSTANCE_NUMBER = 0x00200013


class Patient(NamedTuple):
    """Of the patient level."""

    patient_id: str | None  # None: nobody can say who it is, so nobody shares it
    issuer: str
    name: str | None
    name_folded: str | None  # the component groups, each folded; None: there is none
    name_ideographic: str | None
    name_phonetic: str | None
    name_latin: str | None   # in Latin letters, where that differs, see index/transcription.py
    name_sounds: str | None  # see index/sounds.py
    birth_date: str | None
    sex: str | None

    def differs(self, other: Patient) -> bool:
        """Whether they can't be one person as far as is known: an empty name or date contradicts nothing."""
        return (self.patient_id != other.patient_id
                or _contradict(self.issuer, other.issuer)
                or _contradict(self.name, other.name)
                or _contradict(self.birth_date, other.birth_date))


class Study(NamedTuple):
    """Of the study level, without the patient."""

    study_date: str | None
    study_time: str | None
    accession_number: str | None
    study_id: str | None
    referring_physician: str | None
    referring_physician_folded: str | None
    referring_physician_ideographic: str | None
    referring_physician_phonetic: str | None
    referring_physician_latin: str | None
    referring_physician_sounds: str | None
    description: str | None
    description_folded: str | None


class Series(NamedTuple):
    """Of the series level."""

    modality: str | None
    number: int | None
    description: str | None
    description_folded: str | None
    body_part: str | None
    performed_date: str | None
    performed_time: str | None


def patient_of(packed: bytes, character_set: bytes) -> Patient:
    """From the packed attributes of the patient level and the raw (0008,0005)."""
    values = top_level(packed)
    name = searchable(values.get(0x00100010), character_set)
    forms = _forms(name)
    return Patient(
        patient_id=_identity(values.get(0x00100020), character_set),
        issuer=_identity(values.get(0x00100021), character_set) or "",
        name=name,
        name_folded=forms.alphabetic,
        name_ideographic=forms.ideographic,
        name_phonetic=forms.phonetic,
        name_latin=forms.latin,
        name_sounds=forms.sounds,
        birth_date=date_of(values.get(0x00100030)),
        sex=searchable(values.get(0x00100040), character_set),
    )


def study_of(packed: bytes, character_set: bytes) -> Study:
    """From the packed attributes of the study level and the raw (0008,0005)."""
    values = top_level(packed)
    physician = searchable(values.get(0x00080090), character_set)
    description = searchable(values.get(0x00081030), character_set)
    forms = _forms(physician)
    return Study(
        study_date=date_of(values.get(0x00080020)),
        study_time=time_of(values.get(0x00080030)),
        accession_number=searchable(values.get(0x00080050), character_set),
        study_id=searchable(values.get(0x00200010), character_set),
        referring_physician=physician,
        referring_physician_folded=forms.alphabetic,
        referring_physician_ideographic=forms.ideographic,
        referring_physician_phonetic=forms.phonetic,
        referring_physician_latin=forms.latin,
        referring_physician_sounds=forms.sounds,
        description=description,
        description_folded=fold(description),
    )


def series_of(packed: bytes, character_set: bytes) -> Series:
    """From the packed attributes of the series level and the raw (0008,0005)."""
    values = top_level(packed)
    description = searchable(values.get(0x0008103E), character_set)
    return Series(
        modality=searchable(values.get(0x00080060), character_set),
        number=integer_of(values.get(0x00200011)),
        description=description,
        description_folded=fold(description),
        body_part=searchable(values.get(0x00180015), character_set),
        performed_date=date_of(values.get(0x00400244)),
        performed_time=time_of(values.get(0x00400245)),
    )


def instance_number_of(packed: bytes) -> int | None:
    """(0020,0013), found without unpacking the rest: this one is read for every instance that arrives."""
    return integer_of(value_of(packed, _INSTANCE_NUMBER))


class _Forms(NamedTuple):
    """In which a name is searched."""

    alphabetic: str | None = None
    ideographic: str | None = None
    phonetic: str | None = None
    latin: str | None = None
    sounds: str | None = None


@lru_cache(maxsize=1024)     # physicians come again and again, and a patient with each of his series
def _forms(name: str | None) -> _Forms:
    if not name:
        return _Forms()
    groups, latin = name_groups(name), name_in_latin(name)
    return _Forms(*(form or None for form in (*groups, latin, sounds_of(latin or groups[0]))))


def _identity(value: bytes | None, character_set: bytes) -> str | None:
    """Text that tells patients apart, or None if it is too long: cut short, two patients could become one.

    The scanner keeps no more than TEXT_LIMIT bytes of a value, so one of that length may have been cut already.
    """
    if not value or len(value) >= TEXT_LIMIT:
        return None
    if len(decode(value, character_set).encode("utf_8", "replace")) > TEXT_LIMIT:
        return None
    return searchable(value, character_set)


def _contradict(one: str | None, other: str | None) -> bool:
    return bool(one and other) and comparable(one) != comparable(other)
