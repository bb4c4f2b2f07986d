"""pynetdicom as the peer: what it proposes is answered as the standard says, and every SOP class is stored."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID_dictionary, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE, Association, build_context
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext

from tests.interop.installed import Installed

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
PRIVATE = "1.3.12.2.1107.5.9.1"     # Siemens CSA Non-Image Storage: not in the standard
NEVER_SENT = {                      # named "Storage", and yet nobody stores them by C-STORE
    "1.2.840.10008.1.3.10": "Media Storage Directory Storage",
    "1.2.840.10008.1.20.1": "Storage Commitment Push Model SOP Class",
    "1.2.840.10008.1.20.2": "Storage Commitment Pull Model SOP Class"}
NAMELESS = {"1.2.840.10008.5.1.4.1.1.12.77", "1.2.840.10008.5.1.4.1.1.40"}      # retired, their names too


def storage_classes() -> list[str]:
    """Every storage SOP class of pydicom's dictionary, retired ones too."""
    named = {uid for uid, (name, kind, *_) in UID_dictionary.items() if kind == "SOP Class" and "Storage" in name}
    assert NEVER_SENT.keys() <= named and NAMELESS <= UID_dictionary.keys()
    return sorted((named - NEVER_SENT.keys()) | NAMELESS)


@contextmanager
def associated(server: Installed, contexts: list[PresentationContext], *negotiation: object,
               maximum: int = 16384) -> Iterator[Association]:
    ae = AE(ae_title="PYNETDICOM")
    association = ae.associate("127.0.0.1", server.port, contexts, ext_neg=list(negotiation), max_pdu=maximum)
    try:
        assert association.is_established
        yield association
    finally:
        if association.is_established:
            association.release()


def instance(sop_class: str, number: int, study: str = "1.2.3") -> Dataset:
    """The least that can be stored."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, f"{study}.4.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.4"
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "1"
    return dataset


def test_echo(shared: Installed) -> None:
    with associated(shared, [build_context(VERIFICATION)]) as association:
        assert [association.send_c_echo(number).Status for number in (1, 65535, 1)] == [0, 0, 0]


def test_every_storage_sop_class_is_stored(install: Callable[..., Installed]) -> None:
    classes = [*storage_classes(), PRIVATE, "1.2.3.4.5.6"]
    assert len(classes) == 206 + 2
    server = install().start()
    for start in range(0, len(classes), 128):
        batch = classes[start:start + 128]
        with associated(server, [build_context(uid, ExplicitVRLittleEndian) for uid in batch]) as association:
            statuses = {uid: association.send_c_store(instance(uid, classes.index(uid))).Status for uid in batch}
        assert statuses == dict.fromkeys(batch, 0)
    assert len(server.filed(len(classes))) == len(classes)


def test_private_sop_classes_can_be_turned_off(install: Callable[..., Installed]) -> None:
    server = install(acceptPrivateSOPClasses=False).start()
    with associated(server, [build_context(PRIVATE), build_context(CT)]) as association:
        assert [context.abstract_syntax for context in association.accepted_contexts] == [CT]
        assert {context.result for context in association.rejected_contexts} == {3}
    with associated(server, [build_context(CT), build_context("1.2.3.4")], related("1.2.3.4")) as association:
        assert [context.abstract_syntax for context in association.accepted_contexts] == [CT]


def related(uid: str) -> SOPClassCommonExtendedNegotiation:
    """Says that a SOP class belongs to the Storage service class."""
    item = SOPClassCommonExtendedNegotiation()
    item.sop_class_uid, item.service_class_uid = uid, "1.2.840.10008.4.2"
    return item


def test_never_sent_are_not_accepted(shared: Installed) -> None:
    with associated(shared, [build_context(uid) for uid in (*NEVER_SENT, CT)]) as association:
        # The push model is accepted, but for what it is.
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        assert accepted == {CT, "1.2.840.10008.1.20.1"}
        assert association.send_c_store(instance("1.2.840.10008.1.20.1", 1)).Status == 0x0122
        assert {context.result for context in association.rejected_contexts} == {3}


def test_a_full_house_of_contexts(shared: Installed) -> None:
    syntaxes = [uid for uid, (_, kind, *_) in UID_dictionary.items() if kind == "Transfer Syntax"]
    with associated(shared, [build_context(uid, syntaxes) for uid in storage_classes()[:128]]) as association:
        assert len(association.accepted_contexts) == 128
        assert {context.transfer_syntax[0] for context in association.accepted_contexts} == {ExplicitVRLittleEndian}


@pytest.mark.parametrize("syntaxes, chosen", [
    ([ImplicitVRLittleEndian], ImplicitVRLittleEndian),
    ([ImplicitVRLittleEndian, ExplicitVRLittleEndian], ExplicitVRLittleEndian),
    ([JPEG2000Lossless, ImplicitVRLittleEndian], JPEG2000Lossless),
    (["1.2.3.4", ImplicitVRLittleEndian], ImplicitVRLittleEndian),
    (["1.2.3.4"], None),
])
def test_the_transfer_syntax(syntaxes: list[str], chosen: str | None, shared: Installed) -> None:
    with associated(shared, [build_context(CT, syntaxes), build_context(VERIFICATION)]) as association:
        contexts = {context.abstract_syntax: context for context in association.accepted_contexts}
        assert (contexts[CT].transfer_syntax[0] if CT in contexts else None) == chosen
        assert [context.result for context in association.rejected_contexts] == ([] if chosen else [4])


@pytest.mark.parametrize("scu, scp, granted, result", [
    (True, True, (True, True), 0),
    (True, False, (True, False), 0),
    (False, True, (False, True), 0),
])
def test_role_selection(scu: bool, scp: bool, granted: tuple | None, result: int, shared: Installed) -> None:
    item = SCP_SCU_RoleSelectionNegotiation()
    item.sop_class_uid, item.scu_role, item.scp_role = CT, scu, scp
    with associated(shared, [build_context(CT), build_context(VERIFICATION)], item) as association:
        answered = association.acceptor.role_selection
        assert ((answered[CT].scu_role, answered[CT].scp_role) if answered else None) == granted
        contexts = association.accepted_contexts + association.rejected_contexts
        assert {context.abstract_syntax: context.result for context in contexts}[CT] == result


def test_extended_negotiation(shared: Installed) -> None:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = CT, b"\2\0\3\0\0\0"
    with associated(shared, [build_context(CT)], item, related(CT)) as association:
        assert association.acceptor.sop_class_extended == {CT: b"\2\0\3\0\0\0"}     # level 2, bits preserved
    with associated(shared, [build_context(CT)]) as association:
        assert association.acceptor.sop_class_extended == {}


@pytest.mark.parametrize("proposed, granted", [
    ((1, 1), (1, 1)), ((5, 3), (5, 1)), ((0, 0), (8, 1)), ((0, 1), (8, 1)), ((65535, 65535), (8, 1))])
def test_asynchronous_operations(proposed: tuple[int, int], granted: tuple[int, int], shared: Installed) -> None:
    item = AsynchronousOperationsWindowNegotiation()
    item.maximum_number_operations_invoked, item.maximum_number_operations_performed = proposed
    with associated(shared, [build_context(VERIFICATION)], item) as association:
        assert association.acceptor.asynchronous_operations == granted
        assert association.send_c_echo().Status == 0


@pytest.mark.parametrize("kind, primary, secondary", [
    (1, b"somebody", b""), (2, b"somebody", b"secret"), (3, b"kerberos", b""), (4, b"<saml/>", b""), (5, b"jwt", b"")])
def test_user_identity_is_not_asked_for_here(kind: int, primary: bytes, secondary: bytes, shared: Installed) -> None:
    item = UserIdentityNegotiation()
    item.user_identity_type, item.positive_response_requested = kind, True
    item.primary_field, item.secondary_field = primary, secondary
    with associated(shared, [build_context(VERIFICATION)], item) as association:
        assert association.acceptor.user_identity is None
        assert association.send_c_echo().Status == 0


@pytest.mark.parametrize("maximum", [0, 512, 16384, 1 << 20])
def test_the_peers_maximum_length(maximum: int, shared: Installed) -> None:
    with associated(shared, [build_context(VERIFICATION)], maximum=maximum) as association:
        assert association.acceptor.maximum_length == 16384
        assert association.send_c_echo().Status == 0


def test_we_say_who_we_are(shared: Installed) -> None:
    with associated(shared, [build_context(VERIFICATION)]) as association:
        assert association.acceptor.implementation_class_uid.startswith("2.25.")
        assert association.acceptor.implementation_version_name.startswith("DCMSERVER_")


def test_abort_by_the_peer(shared: Installed) -> None:
    with associated(shared, [build_context(VERIFICATION)]) as association:
        association.abort()
    with associated(shared, [build_context(VERIFICATION)]) as association:
        assert association.send_c_echo().Status == 0
