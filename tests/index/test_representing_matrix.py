"""Names stored in every character set, asked for in every character set: read, folded, and written again.

pydicom and DCMTK read what was written; pydicom also says what a set has letters for.
"""
from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import charset, config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from dicomserver.index.character_sets import ENCODINGS
from dicomserver.index.decoding import decode
from dicomserver.index.representing import represent
from dicomserver.index.text import fold
from tests.index.character_set_matrix import ASKED, ONE_BYTE, STORED, in_own_words

UTF_8 = b"ISO_IR 192"
LETTERS = "".join(stored.text for stored in STORED)


@pytest.fixture(scope="module", autouse=True)
def strict_pydicom() -> Iterator[None]:
    """It raises for what it can neither read nor write, and knows Latin alphabet No. 9."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config.settings, "reading_validation_mode", config.RAISE)
        patch.setattr(config.settings, "writing_validation_mode", config.RAISE)
        for term in ("ISO_IR 203", "ISO 2022 IR 203"):
            patch.setitem(charset.python_encoding, term, "iso8859_15")
        patch.setitem(charset.CODES_TO_ENCODINGS, b"\x1b-b", "iso8859_15")
        patch.setitem(charset.ENCODINGS_TO_CODES, "iso8859_15", b"\x1b-b")
        yield


def encodings(character_set: bytes) -> list[str]:
    """As pydicom has them, but with no Latin-1 where only ASCII is declared."""
    found = charset.convert_encodings(character_set.decode().rstrip().split("\\"))
    return ["ascii" if encoding == "iso8859" else encoding for encoding in found]


def has_every_letter(text: str, character_set: bytes) -> bool:
    if set(encodings(character_set)) == {"ascii"}:
        return False  # nothing that would be asked of it is ASCII
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            for letter in text:
                charset.encode_string(letter, encodings(character_set))
        except (UnicodeEncodeError, UserWarning):
            return False
    return True


def read_by_pydicom(value: bytes, character_set: bytes, vr: str) -> str:
    """It leaves the escape sequence of ISO 2022 IR 58 in the text."""
    delimiters = PN_DELIMS | {ord("="), ord("\\")} if vr == "PN" else TEXT_VR_DELIMS
    return charset.decode_bytes(value, encodings(character_set), delimiters).replace("\x1b$)A", "")


def test_the_matrix_is_whole() -> None:
    """64 stored names in 64 sets: 4096 cells, with every defined term and every set as an extension of another."""
    assert len(STORED) * len(ASKED) == 4096
    assert len(set(ASKED)) == 64
    assert {term for asked in ASKED for term in asked.decode().split("\\")} == set(ENCODINGS)
    assert len(ONE_BYTE) == 12


@pytest.mark.parametrize("asked", ASKED, ids=bytes.decode)
def test_every_name_in_every_set(asked: bytes) -> None:
    own = 0
    for stored in STORED:
        text = decode(stored.raw, stored.character_set)
        assert (text, fold(text)) == (stored.text, stored.folded)
        for vr in ("PN", "LO"):
            character_set, [value] = represent([(text, vr)], asked)
            assert character_set.rstrip(b" ") == (in_own_words(asked) if has_every_letter(text, asked) else UTF_8)
            assert len(character_set) % 2 == len(value) % 2 == 0
            assert decode(value, character_set).rstrip(" ") == text
            assert read_by_pydicom(value, character_set, vr).rstrip(" ") == text
        own += character_set.rstrip(b" ") == in_own_words(asked)
    assert own >= (0 if encodings(asked) == ["ascii"] else 4)


@pytest.mark.parametrize("vr", ["PN", "LO"])
@given(texts=st.lists(st.text(st.sampled_from(LETTERS + "^=\\ az"), min_size=1), min_size=1, max_size=3),
       asked=st.sampled_from(ASKED))
def test_any_mixture_of_letters(vr: str, texts: list[str], asked: bytes) -> None:
    character_set, values = represent([(text, vr) for text in texts], asked)
    own = all(has_every_letter(text, asked) for text in texts)
    assert character_set.rstrip(b" ") == (in_own_words(asked) if own else UTF_8)
    for text, value in zip(texts, values, strict=True):
        assert decode(value, character_set) in (text, text + " ")
        assert read_by_pydicom(value, character_set, vr) in (text, text + " ")


def readable_by_dcmtk(asked: bytes) -> bool:
    """Not Latin alphabet No. 9; nor what it leaves to an iconv that has no Japanese sets."""
    return not any(term.endswith((b" 13", b" 87", b" 159", b" 203")) for term in asked.split(b"\\"))


@pytest.mark.parametrize("asked", list(filter(readable_by_dcmtk, ASKED)), ids=bytes.decode)
def test_dcmtk_reads_every_answer(asked: bytes, tmp_path: Path) -> None:
    texts = [stored.text for stored in STORED if has_every_letter(stored.text, asked)] or ["é"]
    if asked in (b"GB18030", b"GBK"):   # since 3.6.9 it splits letters whose second byte is a backslash
        texts = [text for text in texts if b"\\" not in text.encode("gb18030")]
    character_set, values = represent([(text, vr) for text in texts for vr in ("PN", "LO")], asked)
    answer = Dataset()
    answer.file_meta = FileMetaDataset()
    answer.file_meta.MediaStorageSOPClassUID = answer.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    answer.file_meta.MediaStorageSOPInstanceUID = answer.SOPInstanceUID = "1.2.3"
    answer.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    answer.SpecificCharacterSet = character_set.decode().rstrip().split("\\")
    answer.ReferencedPatientSequence = [Dataset() for _ in texts]
    for item, name, description in zip(answer.ReferencedPatientSequence, values[::2], values[1::2], strict=True):
        item.PatientName = name
        if asked.count(b"\\") < 3:  # after letters of two bytes it takes ^ and ESC for one, but in a name
            item.StudyDescription = description
    pydicom.dcmwrite(tmp_path / "answer.dcm", answer, enforce_file_format=True)
    subprocess.run(["dcmconv", "+U8", "answer.dcm", "utf8.dcm"], cwd=tmp_path, check=True, capture_output=True)
    items = pydicom.dcmread(tmp_path / "utf8.dcm").ReferencedPatientSequence
    assert [str(item.PatientName).rstrip() for item in items] == texts
    assert all(item.get("StudyDescription", text).rstrip() == text for item, text in zip(items, texts, strict=True))
