"""pynetdicom as the asker: extended negotiation, matches, cancel, every model in one association."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, Association, build_context
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from tests.interop.find.asker import store
from tests.interop.find.family import instances, uid
from tests.interop.find.keys import SYNTAXES
from tests.interop.find.oracle import MODELS, PATIENT_ROOT, STUDY_ROOT
from tests.interop.find.test_cancel import QUERY, STUDIES, study
from tests.interop.installed import Installed

JPEG = "1.2.840.10008.1.2.4.50"


@pytest.fixture(scope="module")
def port(shared: Installed) -> int:
    store(shared.port, [*instances(), *(study(number) for number in range(STUDIES))])
    return shared.port


@contextmanager
def associated(port: int, *negotiation: tuple[str, bytes], syntaxes: tuple[str, ...] = SYNTAXES) \
        -> Iterator[Association]:
    items = []
    for model, information in negotiation:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = model, information
        items.append(item)
    association = AE("PYNETDICOM").associate(
        "127.0.0.1", port, [build_context(model, list(syntaxes)) for model in MODELS], ext_neg=items)
    try:
        assert association.is_established
        yield association
    finally:
        if association.is_established:
            association.release()


def identifier(level: str, **keys: str) -> Dataset:
    made = Dataset()
    made.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize("proposed, answered", [
    (b"\1", b"\1"), (b"\0", b"\0"), (b"\1\1", b"\1\1"), (b"\0\1", b"\0\1"), (b"\1\0", b"\1\0"),
    (b"\1\1\1", b"\1\1\1"), (b"\1\1\1\1", b"\1\1\1\0"), (b"\1\1\1\1\1", b"\1\1\1\0\0"),
    (b"\1\1\1\1\1\1", b"\1\1\1\0\0\1"), (b"\1\1\1\1\1\1\1", b"\1\1\1\0\0\1\1"), (b"\0" * 7, b"\0" * 7),
    (b"\0\0\0\0\0\1\0", b"\0\0\0\0\0\1\0"), (b"\1\1\1\1\1\1\1\1\1", b"\1\1\1\0\0\1\1"), (b"\0\0\1", b"\0\0\1"),
])
@pytest.mark.parametrize("model", MODELS)
def test_extended_negotiation(port: int, model: str, proposed: bytes, answered: bytes) -> None:
    with associated(port, (model, proposed)) as association:
        assert association.acceptor.sop_class_extended == {model: answered}


def test_not_answered_if_not_proposed(port: int) -> None:
    with associated(port) as association:
        assert association.acceptor.sop_class_extended == {}


def test_each_model_is_negotiated_for_itself(port: int) -> None:
    """Relational queries in one model allow none in another."""
    relational = identifier("SERIES", SeriesInstanceUID=uid(1, 2), PatientID="")
    with associated(port, (STUDY_ROOT, b"\1")) as association:
        assert association.acceptor.sop_class_extended == {STUDY_ROOT: b"\1"}
        assert [status.Status for status, _ in association.send_c_find(relational, STUDY_ROOT)] == [0xFF00, 0]
        assert [status.Status for status, _ in association.send_c_find(relational, PATIENT_ROOT)] == [0xA900]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_model_in_every_transfer_syntax(port: int, model: str, syntax: str) -> None:
    with associated(port, syntaxes=(syntax,)) as association:
        assert {context.abstract_syntax for context in association.accepted_contexts} == set(MODELS)
        answers = list(association.send_c_find(identifier("STUDY", PatientID="F-1", StudyInstanceUID=""), model))
        assert [status.Status for status, _ in answers] == [0xFF00, 0xFF00, 0]
        assert {match.StudyInstanceUID for _, match in answers[:-1]} == {uid(1), uid(2)}
        assert answers[-1][1] is None


@pytest.mark.parametrize("syntaxes", [(JPEG,), ("1.2.3.4",)])
def test_transfer_syntaxes_that_no_query_has(port: int, syntaxes: tuple[str, ...]) -> None:
    association = AE("PYNETDICOM").associate("127.0.0.1", port, [build_context(STUDY_ROOT, list(syntaxes))])
    assert not association.is_established or association.rejected_contexts
    if association.is_established:
        association.release()


def test_cancel(port: int) -> None:
    with associated(port) as association:
        answers, made = [], identifier("STUDY", **{name: str(value) for name, value in QUERY.items()})
        for status, _ in association.send_c_find(made, STUDY_ROOT, msg_id=7):
            answers.append(status.Status)
            if len(answers) == 2:
                association.send_c_cancel(7, query_model=STUDY_ROOT)
        assert answers[-1] in (0xFE00, 0)       # pynetdicom reads ahead, so all may have been sent
        found = association.send_c_find(identifier("STUDY", PatientID="F-2"), STUDY_ROOT)
        assert [status.Status for status, _ in found] == [0xFF00, 0]


def test_many_queries_in_one_association(port: int) -> None:
    with associated(port) as association:
        for _ in range(50):
            found = association.send_c_find(identifier("STUDY", PatientName="family*", StudyInstanceUID=""), STUDY_ROOT)
            assert [status.Status for status, _ in found] == [0xFF00] * 6 + [0]


@pytest.mark.parametrize("priority", [0, 1, 2])
def test_priorities(port: int, priority: int) -> None:
    with associated(port) as association:
        found = association.send_c_find(identifier("STUDY", PatientID="F-2"), STUDY_ROOT, priority=priority)
        assert [status.Status for status, _ in found] == [0xFF00, 0]
