"""A plausible clinic, the same for each seed: patients, their studies, and of each study five small images.

The first n studies of a seed are the same however many are asked for, so two servers can be filled with as many as
either takes in.
"""
from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count, islice
from typing import NamedTuple

from tests.bench.names import BODY_PARTS, SCRIPTS, Script, person

INSTANCES = 5                       # of each study, in up to three series
DAYS = [(date(2015, 1, 1) + timedelta(day)).strftime("%Y%m%d") for day in range(3652)]
_STUDIES_OF_A_PATIENT = (1, 2, 3, 4)
_HOW_OFTEN = (50, 75, 90, 100)      # of a hundred patients, those with so many studies or fewer
_SPLITS = ((5,), (3, 2), (2, 2, 1), (1, 4), (4, 1))     # instances to series


class Modality(NamedTuple):
    """share: of all studies, in percent. series: descriptions, of which a study's series take one after the other."""

    name: str
    sop_class_uid: str
    share: int
    maker: str
    model: str
    series: tuple[str, ...]


_STORAGE = "1.2.840.10008.5.1.4.1.1."
MODALITIES = (
    Modality("CT", _STORAGE + "2", 24, "Tomoworks", "Spiral 64", ("Topogram", "axial 1.0 B30f", "MPR coronal")),
    Modality("DX", _STORAGE + "1.1", 23, "Radiant", "Wall 3000", ("p.a.", "lateral", "oblique")),
    Modality("CR", _STORAGE + "1", 15, "Platewell", "CR 85", ("a.p.", "lateral", "detail")),
    Modality("MR", _STORAGE + "4", 15, "Tomoworks", "Tesla 1.5", ("localizer", "t1_tse_sag", "t2_tirm_tra")),
    Modality("US", _STORAGE + "6.1", 12, "Echosonic", "E9", ("B mode", "Doppler", "measurements")),
    Modality("MG", _STORAGE + "1.2", 7, "Radiant", "Mammo 2D", ("R CC", "L CC", "R MLO")),
    Modality("PT", _STORAGE + "128", 2, "Tomoworks", "PET 16", ("WB uncorrected", "WB corrected", "fused")),
    Modality("NM", _STORAGE + "20", 2, "Gammatron", "Twin", ("static ant", "static post", "whole body")),
)


class Patient(NamedTuple):
    """Text, but for the script that says how it is encoded; birth_date is YYYYMMDD."""

    script: Script
    name: str
    patient_id: str
    issuer: str
    birth_date: str
    sex: str


class Study(NamedTuple):
    """A study as its patient's clinic knows it. date: YYYYMMDD; second: of that day.

    part: index into BODY_PARTS. split: how many instances each series has. station: which of several devices made it.
    uid: like real ones, in order on one device, and the devices mixed. 2.999 is the arc for examples (X.660).
    """

    number: int
    patient: Patient
    uid: str
    accession_number: str
    date: str
    second: int
    modality: Modality
    part: int
    referring_physician: str
    split: tuple[int, ...]
    station: int

    @property
    def body_part(self) -> str:
        """Body Part Examined."""
        return BODY_PARTS[self.part]


def studies(number: int, seed: int = 1) -> Iterator[Study]:
    """The first `number` studies; all of one patient follow each other."""
    return islice(_all_studies(random.Random(seed)), number)


_SCRIPT_SHARES = [sum(script.share for script in SCRIPTS[:n]) for n in range(1, len(SCRIPTS) + 1)]
_MODALITY_SHARES = [sum(modality.share for modality in MODALITIES[:n]) for n in range(1, len(MODALITIES) + 1)]


def _all_studies(source: random.Random) -> Iterator[Study]:
    choice, choices, below = source.choice, source.choices, source.randrange
    number = 0
    for patient_number in count(1):
        patient = _patient(source, patient_number)
        script = patient.script
        for _ in range(choices(_STUDIES_OF_A_PATIENT, cum_weights=_HOW_OFTEN)[0]):
            number += 1
            modality = choices(MODALITIES, cum_weights=_MODALITY_SHARES)[0]
            part = BODY_PARTS.index("BREAST") if modality.name == "MG" else below(len(BODY_PARTS) - 1)
            day, second, station = choice(DAYS), 21600 + below(57600), 1 + below(9)
            uid = f"2.999.{modality.sop_class_uid.removeprefix(_STORAGE)}.{station}.{day}{second:05d}.{number}"
            yield Study(number, patient, uid, f"{day[:4]}{modality.name}{number:07d}", day, second, modality, part,
                        person(choice(script.families), choice(script.given)), choice(_SPLITS), station)


def _patient(source: random.Random, number: int) -> Patient:
    choice, below = source.choice, source.randrange
    script = source.choices(SCRIPTS, cum_weights=_SCRIPT_SHARES)[0]
    born = f"{1925 + below(90)}{1 + below(12):02d}{1 + below(28):02d}"
    return Patient(script, person(choice(script.families), choice(script.given)), f"{number * 7_368_787 % 10**8:08d}",
                   "" if below(3) else "CLINIC", born, "FFFFFFFFFFMMMMMMMMMO"[below(20)])
