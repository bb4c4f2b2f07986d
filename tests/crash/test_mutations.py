"""Each sync of the server, taken out, is missed: there is none too many, and no test that would not notice."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crash import lint
from tests.crash.cutting import cut_and_recover
from tests.crash.recording import Recording, record_without
from tests.crash.steps import Step, purpose

# Who syncs what, and which rule misses it.
MISSED = {
    ("association", "slot"): "bytes_are_durable_before_success",
    ("association", "quarantine"): "what_is_set_aside_is_durable_before_its_slot_goes",
    ("association", "quarantined"): "replaced_files_are_whole",
    ("others", "intake"): "names_are_durable_before_success",
    ("others", "slot"): "found_slots_are_synced_before_final_names",
    ("others", "log"): "rows_are_durable_before_final_names",
    ("others", "index"): "pages_are_durable_before_the_log_begins_anew",
    ("others", "series"): "final_names_are_durable_before_slots_go",
    ("others", "study"): "final_names_are_durable_before_slots_go",
    ("others", "root"): "final_names_are_durable_before_slots_go",
    ("others", "tombstone"): "tombstones_are_durable_before_files_go",
    ("others", "tombstones"): "tombstones_are_durable_before_files_go",
    ("others", "starts"): "replaced_files_are_whole",
    ("others", "format"): "replaced_files_are_whole",
}
# SQLite's, while it makes an index that has no rows yet.
NOT_MISSED = {("others", "dicom-server.db-journal")}


def _who(steps: Sequence[Step], step: Step) -> tuple[str, str]:
    associations = {step.thread for step in steps if step.kind in ("ack", "nack")}
    return "association" if step.thread in associations else "others", purpose(step.path)


def without(steps: Sequence[Step], who: tuple[str, str]) -> list[Step]:
    """What the server would have done, had it not had those syncs."""
    return [step for step in steps if step.kind != "sync" or _who(steps, step) != who]


def test_these_are_all_syncs(everything: Recording) -> None:
    assert set(lint.syncs(everything.steps)) == set(MISSED) | NOT_MISSED


@pytest.mark.parametrize("who", MISSED, ids=" ".join)
def test_is_missed(everything: Recording, who: tuple[str, str]) -> None:
    assert MISSED[who] in {line.partition(":")[0] for line in lint.check(without(everything.steps, who))}


@pytest.mark.parametrize("pattern", ["intake/*", "intake"])
def test_is_missed_in_the_running_server_too(scratch: Path, pattern: str) -> None:
    """What works on traces works on the process: with a library that swallows the syncs."""
    recording = record_without(scratch, pattern)
    assert recording.statuses == [0, 0, 0]
    expected = MISSED["association", "slot"] if pattern == "intake/*" else MISSED["others", "intake"]
    assert expected in {line.partition(":")[0] for line in lint.check(recording.steps)}


# Those whose absence loses instances that were acknowledged, not just order.
LOSES = [("association", "slot"), ("others", "intake"), ("others", "log"), ("others", "series")]
MOST_STATES = 400


@pytest.mark.parametrize("who", LOSES, ids=" ".join)
def test_power_cuts_miss_it_too(everything: Recording, scratch: Path, who: tuple[str, str]) -> None:
    """The same by what is lost: it needs no rule."""
    outcome = cut_and_recover(without(everything.steps, who), everything.ledger, scratch, MOST_STATES,
                              among=lambda step: step.kind in ("ack", "unlink", "answer"), enough=1)
    assert outcome.violations
