from __future__ import annotations

from dicomserver.index import Index, open_index
from dicomserver.index.integrity import Finding, ScrubPlace
from tests.index.samples import make


def filled(index: Index, count: int = 3) -> list:
    for number in range(1, count + 1):
        assert index.add(make(number)) is None
    return list(index.select())


def test_a_fault_stays_until_the_file_is_found_whole(index: Index) -> None:
    first, second, _ = filled(index)
    assert index.integrity.count_faults() == 0 and index.integrity.sha256(first) is None
    assert index.integrity.record([Finding(first, b"1" * 32, ""), Finding(second, None, "cut")]) == [True, True]
    assert index.integrity.count_faults() == 1
    assert index.integrity.faults(5) == [(second.sop_instance_uid, "cut")] and index.integrity.faults(0) == []
    assert index.integrity.sha256(first) == b"1" * 32 and index.integrity.sha256(second) is None
    index.integrity.record([Finding(second, b"2" * 32, "")])
    assert index.integrity.count_faults() == 0 and index.integrity.sha256(second) == b"2" * 32


def test_the_first_digest_stays(index: Index) -> None:
    first, *_ = filled(index)
    for sha256, fault in ((b"1" * 32, ""), (None, "damaged"), (b"2" * 32, "")):
        index.integrity.record([Finding(first, sha256, fault)])
        assert index.integrity.sha256(first) == b"1" * 32


def test_what_is_deleted_is_forgotten(index: Index) -> None:
    first, second, _ = filled(index)
    index.integrity.record([Finding(first, None, "cut"), Finding(second, None, "cut")])
    index.remove([first.sop_instance_uid], [first.slot])
    assert index.integrity.count_faults() == 1
    assert index.integrity.record([Finding(first, None, "cut"), Finding(second, None, "cut")]) == [False, True]
    again = make(1)
    again.slot = first.slot + 100
    index.add(again)
    assert index.integrity.record([Finding(first, None, "cut")]) == [False]     # it was another file's
    assert index.integrity.count_faults() == 1 and index.integrity.record([]) == []


def test_pages_in_the_order_of_arrival(index: Index) -> None:
    rows = filled(index)
    (_, first), (position, second) = index.integrity.page(0, 2)
    assert [first, second] == rows[:2]
    ((end, third),) = index.integrity.page(position, 2)
    assert third == rows[2] and index.integrity.page(end, 2) == []


def test_the_place_of_a_scrub_outlives_the_process(url: str) -> None:
    index = open_index(url)
    assert index.integrity.place == ScrubPlace(0, 0, True)
    index.integrity.place = ScrubPlace(17, 4, False)
    index.close()
    index = open_index(url)
    assert index.integrity.place == ScrubPlace(17, 4, False)
    index.close()
