"""Every Part 10 file that pydicom brings along, sent byte for byte, comes to lie in the archive byte for byte."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from tests.interop.installed import Installed
from tests.interop.sender import Sender
from tests.interop.stored import Sent, check, dumps, sent_of
from tests.shipped import shipped

UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
SMALL, LARGE = 130, 131072      # the longest PDU that we send; the server announces the larger one

NO_PART_10 = {
    "ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "README", "README.txt", "crayons.icc", "no_meta.dcm",
    "rtplan.dump", "rtstruct.dcm", "rtstruct.dump", "test1.json", "test_PN.json", "zipMR.gz"}
NO_UIDS = {
    "DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-empty.dcm", "DICOMDIR-implicit", "DICOMDIR-nooffset",
    "DICOMDIR-nopatient", "DICOMDIR-reordered", "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm",
    "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm", "UN_sequence.dcm", "empty_charset_LEI.dcm",
    "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm", "no_meta_group_length.dcm", "priv_SQ.dcm"}
# Sent, and rightly refused: the status.
REFUSED = {"MR_truncated.dcm": 0xC000, "rtplan_truncated.dcm": 0xC000}


def why_not(path: Path) -> str | None:
    """Why a file cannot be sent; None if it can be."""
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        return "not a Part 10 file"
    return None if all(dataset.get(keyword) for keyword in UIDS) else "without UIDs"


def to_send() -> list[Path]:
    return [path for path in shipped("*") if why_not(path) is None]


def rounds(instances: list[Sent]) -> list[list[Sent]]:
    """Some files are the same instance in another encoding: in each round every instance is different."""
    seen: Counter[str] = Counter()
    made: list[list[Sent]] = []
    for sent in instances:
        number = seen[sent.sop_instance]
        seen[sent.sop_instance] += 1
        made += [[]] if number == len(made) else []
        made[number].append(sent)
    return made


def send(port: int, sent: Sent, pdu: int) -> int:
    with Sender(port, [(sent.sop_class, [sent.transfer_syntax])], pdu=pdu) as association:
        assert association.accepted == {1: sent.transfer_syntax}, sent.name
        return association.store(1, sent.sop_class, sent.sop_instance, sent.dataset).status


def test_which_files_are_left_out() -> None:
    reasons = {path: why_not(path) for path in shipped("*")}
    assert {path.name for path, reason in reasons.items() if reason == "not a Part 10 file"} == NO_PART_10
    assert {path.name for path, reason in reasons.items() if reason == "without UIDs"} == NO_UIDS
    assert Counter(reasons.values()) == {None: 145, "not a Part 10 file": 13, "without UIDs": 18}


@pytest.mark.parametrize("pdu", [SMALL, LARGE])
def test_every_file_is_stored_as_it_is(pdu: int, install: Callable[..., Installed]) -> None:
    paths = {path.name: path for path in to_send()}
    server = install(maxPDUSize=LARGE).start()
    refused = {}
    for several in rounds([sent_of(path) for path in paths.values()]):
        answers = {sent.name: send(server.port, sent, pdu) for sent in several}
        kept = [sent for sent in several if not answers[sent.name]]
        refused |= {name: status for name, status in answers.items() if status}
        server.filed(len(kept))
        for sent in kept:
            check(server.data, sent)
        assert dumps(server.data / sent.path for sent in kept) == dumps(paths[sent.name] for sent in kept)
        for study in {sent.study for sent in kept}:
            server.call("delete", study=study)
    assert refused == REFUSED
