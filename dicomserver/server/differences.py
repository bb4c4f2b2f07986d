"""What distinguishes two instances of one SOP Instance UID, in words.

It names patients: for a terminal, never for a log.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from dicomserver.archive.preamble import read_header
from dicomserver.index import Instance
from dicomserver.index.text import bounded, one_value
from dicomserver.services.describe import element_at
from dicomserver.standard.dictionary import data_dictionary, uid_name
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.packed import Element, unpack

_COMPARE_AT_ONCE = 1 << 20
_LONGEST = 120                      # characters of a value that are shown
_NUMBERS = {"US": 2, "UL": 4, "UV": 8}


class Difference(NamedTuple):
    """One thing that differs, and what each of the two says of it: "" where it is silent."""

    what: str
    stored: str
    newcomer: str


def differences(stored: Instance, newcomer: Instance) -> list[Difference]:
    """Of two index entries: how they are encoded, where they belong, how long they are, their indexed attributes."""
    found = [
        Difference("Transfer Syntax", uid_name(stored.transfer_syntax_uid), uid_name(newcomer.transfer_syntax_uid)),
        Difference("SOP Class", uid_name(stored.sop_class_uid), uid_name(newcomer.sop_class_uid)),
        Difference("Study Instance UID", stored.study_instance_uid, newcomer.study_instance_uid),
        Difference("Series Instance UID", stored.series_instance_uid, newcomer.series_instance_uid),
        Difference("Length of the dataset", _length(stored), _length(newcomer))]
    names = {tag: row[2] for tag, row in data_dictionary().items()}
    ours, theirs = _attributes(stored), _attributes(newcomer)
    for place in sorted({*ours, *theirs}):
        found.append(Difference(_name(place, names), ours.get(place, ""), theirs.get(place, "")))
    return [one for one in found if one.stored != one.newcomer]


def first_difference(stored: int, newcomer: int) -> str:
    """Where the datasets of two open files begin to differ, in words. Raises ArchiveError, DatasetError, OSError."""
    ours, theirs = read_header(stored).meta, read_header(newcomer).meta
    if ours.transfer_syntax_uid != theirs.transfer_syntax_uid:
        return "the datasets are encoded differently, so their bytes cannot be compared"
    at = _first_differing_byte(stored, ours.dataset_offset, newcomer, theirs.dataset_offset)
    if at is None:
        return "the datasets are equal, byte for byte"
    place = f"byte {at} of the dataset"
    if encoding(ours.transfer_syntax_uid).deflated:
        return f"{place}, which is deflated"
    # Behind the end of one of them there is an element of the other.
    tag = (element_at(stored, ours, ours.dataset_offset + at)
           or element_at(newcomer, theirs, theirs.dataset_offset + at))
    return place if tag is None else f"{_name((tag, 0, 0), {t: r[2] for t, r in data_dictionary().items()})}, {place}"


def _first_differing_byte(fd: int, offset: int, other_fd: int, other_offset: int) -> int | None:
    """Counted from the offsets; the length of the shorter one if that is all of the difference."""
    at = 0
    while True:
        ours, theirs = (os.pread(fd, _COMPARE_AT_ONCE, offset + at),
                        os.pread(other_fd, _COMPARE_AT_ONCE, other_offset + at))
        if ours != theirs:
            pairs = enumerate(zip(ours, theirs))
            return at + next((n for n, (one, other) in pairs if one != other), min(len(ours), len(theirs)))
        if not ours:
            return None
        at += len(ours)


_Place = tuple[int, int, int]       # tag, sequence, item: as in wire.packed


def _attributes(instance: Instance) -> dict[_Place, str]:
    return {(element.tag, element.sequence, element.item): _text(element, instance.character_set)
            for element in _elements(instance)}


def _elements(instance: Instance) -> Iterator[Element]:
    for packed in (instance.patient, instance.study, instance.series, instance.instance):
        try:
            yield from unpack(packed)
        except DatasetError:
            continue        # no more can be said of that level


def _text(element: Element, character_set: bytes) -> str:
    size = _NUMBERS.get(element.vr)
    if size:
        numbers = (element.value[at:at + size] for at in range(0, len(element.value), size))
        return "\\".join(str(int.from_bytes(number, "little")) for number in numbers)
    text = bounded(one_value(element.value, character_set))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _name(place: _Place, names: dict[int, str]) -> str:
    tag, sequence, item = place
    own = f"{names.get(tag, 'private or unknown attribute')} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return f"{names.get(sequence, 'a sequence')}, item {item + 1}: {own}" if sequence else own


def _length(instance: Instance) -> str:
    return f"{instance.file_length - instance.dataset_offset} bytes"
