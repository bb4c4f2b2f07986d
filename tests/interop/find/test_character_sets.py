"""Stored in one character set, asked for in another: found, and the answer says every letter of it."""
from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_charset_files

from tests.interop.find.asker import Asker, store
from tests.interop.find.keys import EXPLICIT, Keys, decoded, encoded
from tests.interop.find.scripts import SCRIPTS, Script, can_say, said
from tests.interop.installed import Installed
from tests.interop.sender import Sender
from tests.interop.stored import sent_of

ROOT = "1.2.826.0.1.3680043.9.21"
CELLS = len(SCRIPTS) ** 2
# Datasets without UIDs.
NOT_STORED = {"chrSQEncoding.dcm", "chrSQEncoding1.dcm"}

by_script = pytest.mark.parametrize("script", SCRIPTS,
                                    ids=[f"{number} {one.character_set}" for number, one in enumerate(SCRIPTS)])


def instance(number: int, script: Script) -> Keys:
    """An instance that says its name and words in the script's own character set."""
    uid = f"{ROOT}.{number}"
    return {"SpecificCharacterSet": script.character_set, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
            "SOPInstanceUID": f"{uid}.1.1", "StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1",
            "PatientID": f"L-{number}", "PatientName": script.name, "StudyDescription": script.words}


INSTANCES = [instance(number, script) for number, script in enumerate(SCRIPTS)]


@pytest.fixture(scope="module")
def port(shared: Installed) -> int:
    store(shared.port, INSTANCES)
    return shared.port


def expected_set(asked: str, *texts: str) -> str | None:
    """The (0008,0005) of the answer; a single set is named as one without code extensions (PS3.3 C.12.1.1.2)."""
    if all(text.isascii() for text in texts):
        return None
    named = asked.replace("ISO 2022 IR", "ISO_IR") if "\\" not in asked else asked
    return named if asked and all(can_say(asked, text) for text in texts) else "ISO_IR 192"


def declared(dataset: pydicom.Dataset) -> str | None:
    """(0008,0005) as it stands."""
    value = dataset.get("SpecificCharacterSet")
    return value if value is None or isinstance(value, str) else "\\".join(value)


def test_the_cells_are_as_many_as_we_say() -> None:
    assert (len(SCRIPTS), CELLS) == (39, 1521)


@by_script
def test_the_script_is_what_it_says(script: Script) -> None:
    """pydicom reads what we wrote; so the texts are ones that their character sets can say."""
    assert can_say(script.character_set, script.name + script.words)
    read = decoded(encoded(instance(1, script)), EXPLICIT)
    assert (said(read, "PatientName"), said(read, "StudyDescription")) == (script.name, script.words)


@by_script
def test_what_is_asked_is_what_is_meant(script: Script) -> None:
    """Whoever asks in another character set that can say the name writes it so that pydicom reads it back."""
    for asked in (other.character_set for other in SCRIPTS if can_say(other.character_set, script.name)):
        read = decoded(encoded({"SpecificCharacterSet": asked, "PatientName": script.name}), EXPLICIT)
        assert said(read, "PatientName") == script.name, asked


@by_script
def test_found_whatever_character_set_asks(script: Script, port: int) -> None:
    """Asked in each character set: by name and words if it can say them, else by the UID."""
    number = SCRIPTS.index(script)
    uid = f"{ROOT}.{number}"
    with Asker(port) as asker:
        for asked in (other.character_set for other in SCRIPTS):
            keys = {"PatientID": f"L-{number}"}
            if can_say(asked, script.name + script.words):
                keys = {"PatientName": script.name, "StudyDescription": script.words}
            answer = asker.find("STUDY", {"SpecificCharacterSet": asked, "StudyInstanceUID": "", "PatientName": "",
                                          "StudyDescription": "", **keys})
            match, = (match for match in answer.matches if match.StudyInstanceUID == uid)
            assert said(match, "PatientName") == script.name, asked
            assert said(match, "StudyDescription") == script.words, asked
            assert declared(match) == expected_set(asked, script.name, script.words), asked


@by_script
def test_found_by_a_part_of_the_name(script: Script, port: int) -> None:
    """By the beginning of each component group, in the own character set and in UTF-8."""
    with Asker(port) as asker:
        for asked in (script.character_set, "ISO_IR 192"):
            for group in script.name.split("="):
                answer = asker.find("STUDY", {"SpecificCharacterSet": asked, "PatientName": group[:2] + "*",
                                              "StudyInstanceUID": ""})
                assert (f"{ROOT}.{SCRIPTS.index(script)}",) in answer.values("StudyInstanceUID"), group


def files() -> list[str]:
    """Those of pydicom that can be stored, one for each instance."""
    paths = sorted(path for path in get_charset_files("*.dcm") if path.rsplit("/")[-1] not in NOT_STORED)
    return list({pydicom.dcmread(path).SOPInstanceUID: path for path in reversed(paths)}.values())


@pytest.mark.parametrize("path", files(), ids=lambda path: path.rsplit("/")[-1])
def test_the_files_of_pydicom_are_found_by_their_names(path: str, port: int) -> None:
    sent = sent_of(Path(path))
    dataset = pydicom.dcmread(path)
    name = str(dataset.PatientName)
    with Sender(port, [(sent.sop_class, [sent.transfer_syntax])]) as association:
        assert association.store(1, sent.sop_class, sent.sop_instance, sent.dataset).status == 0
    with Asker(port) as asker:
        for asked in (declared(dataset), "ISO_IR 192"):
            answer = asker.find("STUDY", {"SpecificCharacterSet": asked, "PatientName": name, "StudyInstanceUID": ""})
            assert (name, sent.study) in answer.values("PatientName", "StudyInstanceUID")
