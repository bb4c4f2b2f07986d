"""A small PACS made of pydicom and pynetdicom, as the peer of our requests: it can be told to behave oddly."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, build_context, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from dicomserver.scu.peer import Peer

STUDY = "1.2.3.4.5"
LEVELS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def instance(number=1, *, series=1, study=STUDY, name="DOE^JOHN", transfer_syntax=ExplicitVRLittleEndian):
    """A CT image of which only what identifies it is there, and some bytes of a private element."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"{study}.{series}.{number}"
    made.file_meta.TransferSyntaxUID = transfer_syntax
    made.StudyInstanceUID, made.SeriesInstanceUID = study, f"{study}.{series}"
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName, made.PatientID, made.StudyDate, made.Modality = name, "P1", "20260102", "CT"
    made.InstanceNumber = number
    made.add_new(0x00110010, "LO", "US")
    made.add_new(0x00111001, "OB", bytes(1000))
    return made


def write(path, dataset):
    """As a Part 10 file; -> its path as text."""
    dataset.save_as(path, enforce_file_format=True)
    return str(path)


class Scp:
    """stored: every instance that came, by UID. answers: statuses of C-STORE in their order, then success.

    kept: what it has to find and hand out. destination: host and port for C-MOVE. seen: the requests.
    """

    def __init__(self, *, storage=None, qr=True, kept=(), answers=(), destination=None, abort_at=None, **settings):
        self.kept, self.answers, self.destination = list(kept), list(answers), destination
        self.stored, self.seen, self.associations, self.abort_at = {}, [], 0, abort_at
        ae = AE(ae_title="MY_PACS")
        for name, value in settings.items():
            setattr(ae, name, value)
        ae.add_supported_context(Verification)
        for context in AllStoragePresentationContexts if storage is None else ():
            ae.add_supported_context(context.abstract_syntax, scu_role=True, scp_role=True)
        for sop_class, syntaxes in (storage or {}).items():
            ae.add_supported_context(sop_class, syntaxes, scu_role=True, scp_role=True)
        if qr:
            for model in (StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet,
                          StudyRootQueryRetrieveInformationModelMove):
                ae.add_supported_context(model)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get),
                    (evt.EVT_C_MOVE, self._move), (evt.EVT_ACCEPTED, self._accepted)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self._server.server_address[1]

    @property
    def peer(self):
        return Peer(host="127.0.0.1", port=self.port, calling_ae_title="TEST_SCU", called_ae_title="MY_PACS",
                    timeout=10)

    def close(self):
        if self._server is not None:
            self._server.shutdown()
        self._server = None

    def matching(self, identifier):
        """The kept instances of the studies, series or instances that an identifier names."""
        def wanted(one):
            for keyword in LEVELS.values():
                key = identifier.get(keyword) or ""
                uids = [key] if isinstance(key, str) else list(key)
                if any(uids) and one[keyword].value not in uids:
                    return False
            return True
        return [one for one in self.kept if wanted(one)]

    def _accepted(self, event):
        self.associations += 1

    def _store(self, event):
        request = event.request
        if self.abort_at is not None and len(self.seen) == self.abort_at:
            self.abort_at = None
            event.assoc.abort()
            return 0
        self.seen.append(request)
        status = self.answers.pop(0) if self.answers else 0
        if status < 0xC000 and status not in (0xA700, 0xA900):
            self.stored[request.AffectedSOPInstanceUID] = (event.context.transfer_syntax, request.DataSet.getvalue())
        return status

    def _find(self, event):
        self.seen.append(event.request)
        level = LEVELS[event.identifier.QueryRetrieveLevel]
        answered = set()
        for one in self.matching(event.identifier):
            if event.is_cancelled:
                yield 0xFE00, None
                return
            if one[level].value not in answered:
                answered.add(one[level].value)
                match = Dataset()
                for element in event.identifier:
                    match[element.tag] = one[element.tag] if element.tag in one else element
                match.SpecificCharacterSet = one.SpecificCharacterSet
                yield 0xFF00, match

    def _get(self, event):
        matching = self.matching(event.identifier)
        yield len(matching)
        for one in matching:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, one

    def _move(self, event):
        if self.destination is None or event.move_destination != "THERE":
            yield None, None
            return
        yield (*self.destination, {"contexts": [build_context(CTImageStorage, ExplicitVRLittleEndian)]})
        yield from self._get(event)
