"""What a retrieval asks of the index: the ids that meet a query, and what is stored under them."""
from __future__ import annotations

import pytest

from dicomserver.index import Index, IndexFault
from dicomserver.index.search.criteria import Equal, Like
from dicomserver.index.search.query import Condition, Query
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import query_attributes
from tests.index.samples import make

PATIENT_ID, ISSUER, STUDY, SERIES, INSTANCE = 0x00100020, 0x00100021, 0x0020000D, 0x0020000E, 0x00080018
DESCRIPTION = 0x00204000


def query(**wanted: tuple[str, ...]) -> Query:
    tags = {"patient": PATIENT_ID, "study": STUDY, "series": SERIES, "instance": INSTANCE}
    return Query(Level.INSTANCE, tuple(Condition(query_attributes()[0, tags[name]], Equal(texts))
                                       for name, texts in wanted.items()))


@pytest.fixture
def filled(index: Index) -> Index:
    """Three series of two studies, which came in turns."""
    for number in range(1, 31):
        study, series = ("1.1", "1.1.1") if number % 3 else ("1.2", f"1.2.{number % 2}")
        index.add(make(number, study=study, series=series))
    return index


def numbers(index: Index, asked: Query) -> list[int]:
    return [stored.slot for stored in index.instances(index.instance_ids(asked))]


@pytest.mark.parametrize("wanted, found", [
    ({"study": ("1.1",)}, [n for n in range(1, 31) if n % 3]),
    ({"study": ("1.1", "1.2")}, list(range(1, 31))),
    ({"study": ("1.2",), "series": ("1.2.0",)}, [6, 12, 18, 24, 30]),
    ({"study": ("1.1",), "series": ("1.2.0",)}, []),
    ({"series": ("1.2.1", "1.2.0")}, [3, 6, 9, 12, 15, 18, 21, 24, 27, 30]),
    ({"study": ("9",)}, []),
])
def test_in_the_order_of_arrival(filled: Index, wanted: dict, found: list[int]) -> None:
    assert numbers(filled, query(**wanted)) == found


def test_by_instances(filled: Index) -> None:
    uids = tuple(stored.sop_instance_uid for stored in filled.select("1.2"))[:4]
    assert sorted(stored.sop_instance_uid for stored in filled.instances(filled.instance_ids(query(instance=uids)))
                  ) == sorted(uids)
    assert numbers(filled, query(instance=uids, study=("1.1",))) == []


def test_what_is_stored_is_what_find_says(filled: Index) -> None:
    for stored in filled.instances(filled.instance_ids(query(study=("1.1",)))):
        assert stored == filled.find(stored.sop_instance_uid)


def test_removed_since(filled: Index) -> None:
    ids = filled.instance_ids(query(study=("1.1",)))
    gone = next(filled.select("1.1"))
    filled.remove([gone.sop_instance_uid], [gone.slot])
    found = filled.instances(ids)
    assert len(found) == len(ids) - 1 and gone not in found
    assert filled.instances([]) == []


def test_ten_thousand_uids(filled: Index) -> None:
    asked = query(study=tuple(f"2.{number}" for number in range(9_999)) + ("1.1",))
    assert len(filled.instance_ids(asked)) == 20


def test_nobody_waits_any_more(filled: Index) -> None:
    with pytest.raises(IndexFault):
        for _ in range(100_000):
            filled.instance_ids(query(study=("1.1",)), lambda: False)


def test_a_condition_that_no_column_answers(filled: Index) -> None:
    comments = Condition(query_attributes()[0, DESCRIPTION], Like("x*"))
    with pytest.raises(ValueError):
        filled.instance_ids(Query(Level.INSTANCE, (comments,)))


@pytest.mark.parametrize("issuers, asked, several", [
    ([b"North", b"South"], ["P1"], True), ([b"North", b""], ["P1"], True), ([b"", b""], ["P1"], False),
    ([b"North", b"North "], ["P1"], False), ([b"North", b"South"], ["P2"], False),
    ([b"North", b"South"], ["P2", "P1"], True), ([b"North", b"South"], [], False)])
def test_a_patient_id_of_several_issuers(index: Index, issuers: list[bytes], asked: list[str], several: bool) -> None:
    for number, issuer in enumerate(issuers, 1):
        index.add(make(number, study=f"1.{number}", patient={PATIENT_ID: b"P1", ISSUER: issuer}))
    index.add(make(9, study="1.9", patient={PATIENT_ID: b"P2", ISSUER: b"North"}))
    assert index.has_several_issuers(asked) is several
    index.remove(["1.1.1.1"], [1])
    assert index.has_several_issuers(asked) is False
