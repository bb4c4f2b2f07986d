"""What goes into the index and what comes out of it."""
from dataclasses import dataclass
from typing import NamedTuple

FLAG_PIXEL_DATA_SHORT = 1
FLAG_INFLATION_CAPPED = 2
FLAG_PIXEL_DATA_MISSING = 4


@dataclass(slots=True)
class Instance:
    """One stored SOP instance as the index takes it in. Whoever makes it has checked UIDs and AE titles."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    slot: int  # intake slot number, 0 < slot < 2**63, never used twice
    file_length: int
    dataset_offset: int
    checksum: int  # XXH3-64 of the dataset's bytes, unsigned
    received_at: int  # microseconds since the epoch, UTC
    source_ae: str
    receiving_ae: str
    character_set: bytes  # raw value of (0008,0005)
    patient: bytes  # packed attributes (wire.packed) of each level
    study: bytes
    series: bytes
    instance: bytes
    flags: int = 0


@dataclass(slots=True)
class Stored:
    """What the index says about an instance that it knows; fields as in Instance."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    slot: int
    file_length: int
    dataset_offset: int
    checksum: int
    received_at: int
    flags: int


class StudyAge(NamedTuple):
    """How old a study is, and how large. last_received_at: microseconds since the epoch; octets: of its files."""

    study_instance_uid: str
    last_received_at: int
    instances: int
    octets: int


class Counts(NamedTuple):
    """How many there are of each level."""

    patients: int
    studies: int
    series: int
    instances: int
