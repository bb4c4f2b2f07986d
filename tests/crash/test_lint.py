"""The lint convicts every toy that makes one mistake, of that mistake, and none that makes none."""
from __future__ import annotations

import pytest

from tests.crash import lint
from tests.crash.tally import Tally
from tests.crash.toys import MISTAKES, Toy

CONVICTED_OF = {
    "slot not synced": "bytes_are_durable_before_success",
    "intake not synced": "names_are_durable_before_success",
    "row before the sync of its slot": "bytes_are_durable_before_rows",
    "row after success": "rows_are_committed_before_success",
    "rows not durable before slots go": "rows_are_durable_before_final_names",
    "slots go before folders are synced": "final_names_are_durable_before_slots_go",
    "series folder not synced": "final_names_are_durable_before_slots_go",
    "parents not synced": "final_names_are_durable_before_slots_go",
    "rename for link": "slots_are_never_renamed",
    "tombstone not synced": "tombstones_are_durable_before_files_go",
    "no tombstone": "tombstones_are_durable_before_files_go",
    "tombstone goes before its files": "tombstones_stay_until_all_is_gone_for_good",
    "tombstone goes before its slots": "tombstones_stay_until_all_is_gone_for_good",
    "set aside without a sync": "what_is_set_aside_is_durable_before_its_slot_goes",
    "log begins anew too early": "pages_are_durable_before_the_log_begins_anew",
    "found slots not synced": "found_slots_are_synced_before_final_names",
    "slot completed across pages": "slots_are_completed_within_a_page",
    "commitment not synced": "commitments_are_durable_before_acceptance",
    "commitment's name not synced": "commitments_are_durable_before_acceptance",
    "commitments' folder not synced": "commitments_are_durable_before_acceptance",
    "commitment goes before its report": "commitments_stay_until_reported",
    "discarded slot may come back": "discarded_slots_are_gone_for_good_before_a_deletion",
    "refused slot may come back": "refused_slots_are_gone_for_good_before_the_answer",
    "commitment may come back": "commitments_stay_until_reported",
}


def test_acquits_the_toy_without_a_mistake() -> None:
    assert lint.check(Toy().run()) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_convicts(mistake: str, tally: Tally) -> None:
    convicted_of = {line.partition(":")[0] for line in lint.check(Toy(mistake).run())}
    tally.add("toy servers with one mistake each", 1, CONVICTED_OF[mistake] not in convicted_of)
    assert CONVICTED_OF[mistake] in convicted_of


def test_every_rule_convicts_somebody() -> None:
    of_answers, of_replaced = "deletions_are_durable_before_the_answer", "replaced_files_are_whole"
    assert {rule.__name__ for rule in lint.RULES} == {*CONVICTED_OF.values(), of_answers, of_replaced}
    assert any(line.startswith(of_replaced) for line in lint.check(Toy("tombstone not synced").run()))
    steps = Toy().run()
    without = [step for step in steps if step.path != "tombstones/1.json"]
    assert any(line.startswith(of_answers) for line in lint.check(without))


def test_a_sync_that_began_too_early_or_ended_too_late_does_not_count() -> None:
    for change in (("begin", -3), ("end", +6)):
        steps = Toy().run()
        sync = next(step for step in steps if step.kind == "sync" and step.path.startswith("intake/"))
        setattr(sync, change[0], getattr(sync, change[0]) + change[1])
        assert any(line.startswith("bytes_are_durable") for line in lint.check(steps)), change


def test_counts_syncs_by_thread_and_purpose() -> None:
    found = lint.syncs(Toy().run())
    assert found["association", "slot"] == 8
    assert found["others", "log"] == 3
    assert found["others", "slot"] == 0
