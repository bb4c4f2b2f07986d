"""A small PACS of pynetdicom and pydicom, to see whether the bench asks and counts rightly: slow, simple, in memory."""
from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import BasicTextSRStorage, StudyRootQueryRetrieveInformationModelFind, Verification

from tests.bench.population import MODALITIES

SUCCESS, PENDING = 0x0000, 0xFF00
MATCHED = ("StudyInstanceUID", "StudyDate", "AccessionNumber", "PatientID", "PatientName")


class Clinic:
    """Stores everything, finds at the study level. stored: by SOP Instance UID. status: the final one of each query."""

    def __init__(self, status: int = SUCCESS) -> None:
        self.stored: dict[str, Dataset] = {}
        self.asked = 0
        self._status = status
        self._lock = threading.Lock()
        entity = AE(ae_title="CLINIC")
        entity.maximum_associations = 20
        for uid in (Verification, BasicTextSRStorage, StudyRootQueryRetrieveInformationModelFind,
                    *(modality.sop_class_uid for modality in MODALITIES)):
            entity.add_supported_context(uid, ExplicitVRLittleEndian)
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[
            (evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find)])
        self.port = self._server.server_address[1]

    def close(self) -> None:
        """Ends it, with its associations."""
        self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        content = event.dataset
        content.decode()
        with self._lock:
            self.stored[content.SOPInstanceUID] = content
        return SUCCESS

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        with self._lock:
            self.asked += 1
            of_study = {content.StudyInstanceUID: content for content in self.stored.values()}
        for content in of_study.values():
            if all(_matches(keyword, str(query.get(keyword, "")), str(content[keyword].value)) for keyword in MATCHED):
                found = Dataset()
                found.QueryRetrieveLevel, found.StudyInstanceUID = "STUDY", content.StudyInstanceUID
                yield PENDING, found
        yield self._status, None


def _matches(keyword: str, key: str, value: str) -> bool:
    if key in ("", value):
        return True
    if keyword == "StudyDate":
        first, _, last = key.partition("-")
        return bool(last) and first <= value <= last
    if keyword != "PatientName":
        return False
    pattern = re.escape(_plain(key)).replace(r"\*", ".*")
    return any(re.fullmatch(pattern, _plain(group)) for group in value.split("="))


def _plain(name: str) -> str:
    apart = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold()
