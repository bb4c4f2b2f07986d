"""pynetdicom as the requester, with and without role selection, and as a destination."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, Association, build_context, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    MRImageStorage,
    PatientRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.interop.stored import dataset_of

CT = "CT_small.dcm"


class Got:
    """What a C-STORE handler has been given: the bytes by SOP Instance UID. statuses: what it answers, in turn."""

    def __init__(self, *statuses: int) -> None:
        self.datasets: dict[str, bytes] = {}
        self.originators: set[tuple] = set()
        self._statuses = list(statuses)

    def handle(self, event: evt.Event) -> int:
        self.datasets[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        request = event.request
        self.originators.add((request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID))
        return self._statuses.pop(0) if self._statuses else 0


@contextmanager
def associated(archive, *contexts: str, roles: bool = True, got: Got | None = None) -> Iterator[Association]:
    ae = AE(ae_title="PYNETDICOM")
    for uid in contexts:
        ae.add_requested_context(uid, [ExplicitVRLittleEndian])
    storage = [uid for uid in contexts if uid.startswith("1.2.840.10008.5.1.4.1.1.")]
    association = ae.associate("127.0.0.1", archive.port, evt_handlers=[(evt.EVT_C_STORE, got.handle)] if got else [],
                               ext_neg=[build_role(uid, scp_role=True, scu_role=True) for uid in storage if roles])
    assert association.is_established
    yield association
    association.release()


@contextmanager
def destination(archive, got: Got, *classes: str, syntax: str = ExplicitVRLittleEndian) -> Iterator[None]:
    ae = AE(ae_title="THERE")
    for uid in classes:
        ae.add_supported_context(uid, syntax)
    server = ae.start_server(("127.0.0.1", archive.there), block=False,
                             evt_handlers=[(evt.EVT_C_STORE, got.handle)])
    try:
        yield
    finally:
        server.shutdown()


def asked(archive, name: str = CT, patient: str | None = None) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", archive.study_with(name)
    if patient is not None:
        identifier.PatientID = patient
    return identifier


def right(archive, name: str = CT) -> dict[str, bytes]:
    study = archive.study_with(name)
    return {one.sop_instance: dataset_of(archive.server.data / one.path) for one in archive.sent if one.study == study}


def counted(status: Dataset) -> tuple[int, ...]:
    return (status.Status, status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations,
            status.NumberOfWarningSuboperations)


def test_get_with_role_selection(archive) -> None:
    got = Got()
    with associated(archive, StudyRootQueryRetrieveInformationModelGet, CTImageStorage, got=got) as association:
        answers = list(association.send_c_get(asked(archive), StudyRootQueryRetrieveInformationModelGet))
    assert counted(answers[-1][0]) == (0, 1, 0, 0)
    assert got.datasets == right(archive) and got.originators == {(None, None)}


def test_get_without_role_selection(archive) -> None:
    """pynetdicom then takes no C-STORE; nothing is sent."""
    got = Got()
    with associated(archive, StudyRootQueryRetrieveInformationModelGet, CTImageStorage, roles=False,
                    got=got) as association:
        (status, failed), = association.send_c_get(asked(archive), StudyRootQueryRetrieveInformationModelGet)
    assert counted(status) == (0xA702, 0, 1, 0) and got.datasets == {}
    assert failed.FailedSOPInstanceUIDList == next(iter(right(archive)))


@pytest.mark.parametrize("statuses, final", [
    ((0xB000,), (0xB000, 0, 0, 1)), ((0xB006,), (0xB000, 0, 0, 1)), ((0xB007,), (0xB000, 0, 0, 1)),
    ((0xA700,), (0xA702, 0, 1, 0)), ((0xC000,), (0xA702, 0, 1, 0)), ((0x0210,), (0xA702, 0, 1, 0))])
def test_what_the_other_side_answers(archive, statuses: tuple[int, ...], final: tuple[int, ...]) -> None:
    with associated(archive, PatientRootQueryRetrieveInformationModelGet, CTImageStorage,
                    got=Got(*statuses)) as association:
        answers = list(association.send_c_get(asked(archive, patient="1CT1"),
                                              PatientRootQueryRetrieveInformationModelGet))
    assert counted(answers[-1][0]) == final
    with destination(archive, Got(*statuses), CTImageStorage), \
            associated(archive, StudyRootQueryRetrieveInformationModelMove) as association:
        answers = list(association.send_c_move(asked(archive), "THERE", StudyRootQueryRetrieveInformationModelMove))
    assert counted(answers[-1][0]) == final
    assert ("FailedSOPInstanceUIDList" in (answers[-1][1] or Dataset())) == (final[2] > 0)


def test_move(archive) -> None:
    got = Got()
    with destination(archive, got, CTImageStorage, MRImageStorage), \
            associated(archive, StudyRootQueryRetrieveInformationModelMove) as association:
        answers = list(association.send_c_move(asked(archive), "THERE", StudyRootQueryRetrieveInformationModelMove,
                                               msg_id=77))
    assert counted(answers[-1][0]) == (0, 1, 0, 0)
    assert got.datasets == right(archive) and got.originators == {("PYNETDICOM", 77)}


@pytest.mark.parametrize("classes, syntax", [([MRImageStorage], ExplicitVRLittleEndian), ([], ExplicitVRLittleEndian)])
def test_a_destination_that_refuses_the_context(archive, classes: list[str], syntax: str) -> None:
    got = Got()
    with destination(archive, got, *classes, "1.2.840.10008.1.1", syntax=syntax), \
            associated(archive, StudyRootQueryRetrieveInformationModelMove) as association:
        (status, failed), = association.send_c_move(asked(archive), "THERE", StudyRootQueryRetrieveInformationModelMove)
    assert counted(status) == (0xA702, 0, 1, 0) and got.datasets == {}
    assert failed.FailedSOPInstanceUIDList == next(iter(right(archive)))


def test_contexts_of_a_retrieval_are_plain(archive) -> None:
    ae = AE()
    syntaxes = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, "1.2.840.10008.1.2.4.50"]
    contexts = [build_context(uid, syntaxes) for uid in (
        PatientRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove)]
    association = ae.associate("127.0.0.1", archive.port, contexts)
    assert [one.transfer_syntax for one in association.accepted_contexts] == [[ExplicitVRLittleEndian]] * 2
    association.release()
