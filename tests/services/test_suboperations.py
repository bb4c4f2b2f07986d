"""The counters, the statuses that come of them, and the two responses (PS3.4 C.4.2.1.5 to C.4.2.1.8)."""
from __future__ import annotations

from itertools import islice, product

import pytest

from dicomserver.services.suboperations import Counters, failed_list, final, message_ids, pending
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.commands import C_MOVE_RQ
from tests.interop.find.keys import BIG_ENDIAN, EXPLICIT, IMPLICIT, SYNTAXES, decoded
from tests.interop.retriever import failed_uids

MODEL = "1.2.840.10008.5.1.4.1.2.2.2"
REQUEST = CommandSet(affected_sop_class_uid=MODEL, command_field=C_MOVE_RQ, message_id=7, priority=0,
                     command_data_set_type=1, move_destination="THERE")


def context(syntax: str = EXPLICIT) -> AcceptedContext:
    return AcceptedContext(1, MODEL, syntax, False, True)


def counted(*answers: int | None, total: int | None = None) -> Counters:
    counters = Counters(len(answers) if total is None else total)
    for number, status in enumerate(answers):
        counters.count(f"1.2.{number}", status)
    return counters


@pytest.mark.parametrize("status, kind", [
    (0x0000, "completed"), (0xB000, "warning"), (0xB006, "warning"), (0xB007, "warning"), (0x0001, "warning"),
    (0x0107, "warning"), (0x0116, "warning"), (0xA700, "failed"), (0xA900, "failed"), (0xC000, "failed"),
    (0xCFFF, "failed"), (0x0110, "failed"), (0x0122, "failed"), (0xFE00, "failed"), (0xFF00, "failed"),
    (0x1234, "failed"), (None, "failed")])
def test_what_each_status_counts_as(status: int | None, kind: str) -> None:
    counters = counted(status, total=3)
    assert counters.remaining == 2
    assert {name: getattr(counters, name) for name in ("completed", "warning", "failed")} == {
        "completed": 0, "warning": 0, "failed": 0} | {kind: 1}
    assert counters.failed_uids == (["1.2.0"] if kind == "failed" else [])


@pytest.mark.parametrize("completed, failed, warning", list(product((0, 1), repeat=3)))
def test_the_final_status(completed: int, failed: int, warning: int) -> None:
    counters = Counters(0, completed, failed, warning)
    if not failed and not warning:
        right = 0x0000
    elif failed and not completed and not warning:
        right = 0xA702
    else:
        right = 0xB000
    assert counters.final_status(cancelled=False) == right
    assert counters.final_status(cancelled=True) == 0xFE00


def test_a_pending_response() -> None:
    response = decode_command(encode_command(pending(REQUEST, counted(0, 0, 0xB000, 0xC000, total=9))))
    assert (response.status, response.has_dataset, response.message_id_being_responded_to) == (0xFF00, False, 7)
    assert (response.number_of_remaining_suboperations, response.number_of_completed_suboperations,
            response.number_of_failed_suboperations, response.number_of_warning_suboperations) == (5, 2, 1, 1)


@pytest.mark.parametrize("cancelled, remaining", [(True, 2), (False, None)])
def test_only_a_cancelled_one_says_what_remains(cancelled: bool, remaining: int | None) -> None:
    response, dataset = final(REQUEST, counted(0, 0xB000, total=4), cancelled, context())
    assert (response.number_of_remaining_suboperations, dataset, response.has_dataset) == (remaining, None, False)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("cancelled", [True, False])
def test_the_list_has_those_that_failed_and_no_others(cancelled: bool, syntax: str) -> None:
    response, dataset = final(REQUEST, counted(0, None, 0xB000, 0xA700, 0), cancelled, context(syntax))
    assert response.has_dataset
    assert failed_uids(dataset, syntax) == ["1.2.1", "1.2.3"]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("count", [1, 2, 1023, 1024, 10_000])
def test_a_list_of_any_length(count: int, syntax: str) -> None:
    """As UI it has room for 64 KB in explicit VR; beyond, it is UN (PS3.5 6.2.2), which pydicom reads again."""
    uids = [f"1.2.826.0.1.3680043.10.1717.{number}.{'7' * 30}"[:64] for number in range(count)]
    data = failed_list(uids, syntax)
    assert len(data) % 2 == 0
    assert failed_uids(data, syntax) == uids
    too_long = len("\\".join(uids)) > 0xFFFE
    if syntax in (EXPLICIT, BIG_ENDIAN):
        assert data[4:6] == (b"UN" if too_long else b"UI")
    assert decoded(data, syntax)[0x00080058].VM >= 1


def test_more_than_a_counter_can_say() -> None:
    response, _ = final(REQUEST, Counters(0, 70_000, 65_535, 65_536), False, context(IMPLICIT))
    assert [response.number_of_completed_suboperations, response.number_of_failed_suboperations,
            response.number_of_warning_suboperations] == [65_535] * 3
    assert pending(REQUEST, Counters(1 << 20)).number_of_remaining_suboperations == 65_535


@pytest.mark.parametrize("after, first", [
    (0, [1, 2, 3]), (7, [8, 9, 10]), (65_534, [65_535, 1, 2]), (65_535, [1, 2, 3])])
def test_message_ids_are_never_0(after: int, first: list[int]) -> None:
    assert list(islice(message_ids(after), 3)) == first
    assert set(islice(message_ids(after), 65_535)) == set(range(1, 65_536))


def test_what_nobody_can_name_has_failed_all_the_same() -> None:
    counters = counted(0, total=5)
    counters.fail_remaining()
    assert (counters.remaining, counters.failed, counters.final_status(False)) == (0, 4, 0xB000)
