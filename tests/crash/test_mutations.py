"""Each sync of the server, taken out, is missed: there is none too many, and no test that would not notice."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crash import lint
from tests.crash.call_sites import PACKAGE, call_sites, in_cython
from tests.crash.call_sites import without as program_without
from tests.crash.cutting import cut_and_recover, cuts
from tests.crash.recording import Recording, record_everything, record_load, record_without
from tests.crash.requesting import Home
from tests.crash.steps import Step, purpose
from tests.crash.tally import IS_LONG, Tally

# Who syncs what, and which rule misses it.
MISSED = {
    ("association", "slot"): "bytes_are_durable_before_success",
    ("association", "intake"): "refused_slots_are_gone_for_good_before_the_answer",
    ("association", "quarantine"): "what_is_set_aside_is_durable_before_its_slot_goes",
    ("association", "quarantined"): "replaced_files_are_whole",
    ("association", "commitment"): "commitments_are_durable_before_acceptance",
    ("association", "commitments"): "commitments_are_durable_before_acceptance",
    ("association", "root"): "commitments_are_durable_before_acceptance",
    ("others", "commitments"): "commitments_stay_until_reported",
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
    ("others", "index.json"): "replaced_files_are_whole",
}
# SQLite's, while it makes an index that has no rows yet.
NOT_MISSED = {("others", "dicom-server.db-journal")}


def without(steps: Sequence[Step], who: tuple[str, str]) -> list[Step]:
    """What the server would have done, had it not had those syncs."""
    threads = lint.associations(steps)
    return [step for step in steps if step.kind != "sync"
            or ("association" if step.thread in threads else "others", purpose(step.path)) != who]


def rules_of(steps: Sequence[Step]) -> set[str]:
    """Those that are broken."""
    return {line.partition(":")[0] for line in lint.check(steps)}


def test_these_are_all_syncs(everything: Recording) -> None:
    assert set(lint.syncs(everything.steps)) == set(MISSED) | NOT_MISSED


@pytest.mark.parametrize("who", MISSED, ids=" ".join)
def test_is_missed(everything: Recording, tally: Tally, who: tuple[str, str]) -> None:
    broken = rules_of(without(everything.steps, who))
    tally.add("kinds of syncs taken out of a trace", 1, MISSED[who] not in broken)
    assert MISSED[who] in broken


# The same by the call in the program, with the rule that misses it.
CALLS = {
    "archive/commitments.py Commitments.drop: self._folder.sync()": "commitments_stay_until_reported",
    "archive/commitments.py Commitments._made_folder: self._root.sync()": "commitments_are_durable_before_acceptance",
    "archive/deletion.py Deletions._sync_intakes: intake.sync()": "discarded_slots_are_gone_for_good_before_a_deletion",
    "archive/deletion.py Deletions.finish: intake.sync()": "tombstones_stay_until_all_is_gone_for_good",
    "archive/deletion.py Deletions._remove_from: folder.sync()": "tombstones_stay_until_all_is_gone_for_good",
    "archive/durable.py Folder.sync: os.fsync(self.fd)": "names_are_durable_before_success",
    "archive/durable.py replace_file: os.fsync(fd)": "replaced_files_are_whole",
    "archive/durable.py replace_file: folder.sync()": "tombstones_are_durable_before_files_go",
    "archive/filing.py Filing._link_and_sync: self._folders.open(series).sync()":
        "final_names_are_durable_before_slots_go",
    "archive/folders.py Folders.settle: study.sync()": "final_names_are_durable_before_slots_go",
    "archive/folders.py Folders.settle: self._root.sync()": "final_names_are_durable_before_slots_go",
    "archive/intake.py Intake.discard: folder.sync()": "refused_slots_are_gone_for_good_before_the_answer",
    "archive/intake.py Intake._add: self._folder.sync()": "names_are_durable_before_success",
    "archive/recovery.py _examine: os.fdatasync(fd)": "found_slots_are_synced_before_final_names",
    "index/index.py Index._add_around: sync()": "bytes_are_durable_before_success",
    "index/index.py Index._sync: self._engine.sync()": "rows_are_durable_before_final_names",
    "index/index.py Index.make_durable: self._sync()": "rows_are_durable_before_final_names",
    "index/index.py Index.remove: self._sync()": "tombstones_stay_until_all_is_gone_for_good",
    "server/mover.py Mover._pass: self._index.make_durable()": "rows_are_durable_before_final_names",
}
# What a few instances do not need: batches of slots beyond the first.
MANY = {"archive/intake.py Intake._add: self._folder.sync()"}
# Calls that these traces do not miss, and the tests that do.
_DURABILITY = "tests/index/sqlite/test_engine_durability.py::"
_POSTGRES = "tests/index/postgres/test_engine.py::"
_NODES = "tests/archive/test_nodes.py::test_the_names_of_its_folders_are_durable_before_the_start_is_counted"
_TAKING_BACK = "tests/archive/test_replacing.py::test_taking_back_is_durable_and_no_old_tombstone_can_return"
_PUTTING_BACK = "tests/archive/test_replacing.py::test_what_was_put_back_stays_out_of_the_intake_after_a_power_cut"
_TRASH = "tests/archive/test_trash_power_cuts.py::test_power_cut_at_every_call"
_BRINGING = ("tests/services/test_store_power_cuts.py::"
             "test_what_is_brought_back_does_not_come_before_what_is_acknowledged_meanwhile")
_STRAYS = "tests/server/test_strays.py::test_the_file_and_the_row_are_durable_before_anybody_else_has_the_uid"
_ADOPTING = "tests/archive/test_archive_power_cuts.py::test_power_cut_at_every_call[adopt]"
_UNREMOVED = "tests/archive/test_archive_power_cuts.py::test_a_power_cut_after_a_slot_could_not_be_removed"
ELSEWHERE = {
    "archive/adopting.py Adopting.seal: os.fdatasync(fd)": _ADOPTING,
    "archive/adopting.py Adopting.settle: self._intake.sync()": _ADOPTING,
    "archive/commitments.py Commitments.adopt: self._folder.sync()":
        "tests/archive/test_commitments.py::test_what_was_taken_over_is_durable",
    "archive/nodes.py Nodes._settle: self.folder.sync()": _NODES,
    "archive/nodes.py Nodes._settle: self._root.sync()": _NODES,
    "archive/filing.py _same_and_durable: os.fdatasync(theirs)":
        "tests/archive/test_filing.py::test_the_same_bytes_under_the_name_are_synced_first",
    "archive/intake.py _empty: os.fdatasync(fd)": f"{_UNREMOVED}[fsync-True]",
    "archive/layout.py DataDirectory._create: sync_ancestors(self.path)":
        "tests/archive/test_layout.py::test_the_format_is_written_when_all_else_is_durable",
    "archive/layout.py sync_ancestors: opened.sync()":
        "tests/archive/test_layout.py::test_the_format_is_written_when_all_else_is_durable",
    "archive/layout.py sync_ancestors: os.sync()":
        "tests/archive/test_layout.py::test_above_folders_that_may_not_be_read_all_is_synced",
    "archive/quarantine.py _own_name: os.fdatasync(fd)":
        "tests/archive/test_quarantine.py::test_durable_before_it_leaves_its_place",
    "archive/quarantine.py Quarantine.remove: self._folder.sync()":
        "tests/archive/test_quarantine.py::test_removed_for_good_with_its_note",
    "archive/quarantine.py Quarantine.put_into: folder.sync()": _TAKING_BACK,
    "archive/replacing.py Replacing.put_back: intake.sync()": _PUTTING_BACK,
    "archive/replacing.py Replacing.take_back: os.fdatasync(fd)": _TAKING_BACK,
    "archive/replacing.py Replacing.take_back: self._directory.tombstones.sync()": _TAKING_BACK,
    "archive/recovery.py examine_intake: intake.sync()":
        "tests/archive/test_recovery.py::test_names_and_bytes_are_durable_before_anybody_relies_on_them",
    "archive/walking.py make_found_durable: os.fdatasync(fd)": _STRAYS,
    "archive/walking.py make_found_durable: folder.sync()": _STRAYS,
    "archive/tombstones.py Tombstones.drop: self._folder.sync()": f"{_TRASH}[delete_undelete_and_delete-True]",
    "archive/trash.py Trash.keep: self._folder.sync()":
        "tests/archive/test_filing.py::test_a_file_on_its_way_to_the_trash_reaches_it_before_it_makes_room",
    "archive/trash.py Trash.sync_back: intake.sync()": f"{_TRASH}[delete_undelete_and_delete-True]",
    "archive/trash.py Trash.unlink_back: intake.sync()": f"{_BRINGING}[after_a_failure-file]",
    "archive/trash.py Trash.remove: self._folder.sync()": f"{_TRASH}[delete_and_empty-True]",
    "archive/trash.py Trash.remove: self._folder.sync() again": f"{_TRASH}[delete_undelete_and_remove-True]",
    "index/index.py Index.add: sync()": "tests/index/test_index_sync.py::test_a_sync_does_not_wait_for_whoever_writes",
    "index/index.py Index.add_many: self._sync()": _POSTGRES + "test_no_more_is_remembered_than_is_not_synced",
    "index/index.py Index.mark_complete: self._sync()":
        _DURABILITY + "test_what_is_durable_at_once_syncs_at_its_end",
    "index/other_patients.py OtherPatients.accept: self._engine.sync()":
        "tests/index/test_other_patients.py::test_what_was_accepted_survives_a_power_cut",
    "index/postgres/engine.py Postgres.__init__: self._sync()":
        _POSTGRES + "test_a_new_index_and_a_closed_one_survive_a_crash",
    "index/postgres/nodes.py Nodes.adopting: self._engine.sync()":
        "tests/index/postgres/test_nodes.py::test_who_was_adopted_is_so_after_a_crash_too",
    "index/postgres/engine.py Postgres.sync: self._sync()": _POSTGRES + "test_a_sync_is_waited_for_and_commits_are_not",
    "index/postgres/engine.py Postgres.close: self._sync()":
        _POSTGRES + "test_a_new_index_and_a_closed_one_survive_a_crash",
    "index/sqlite/engine.py SqliteFile.__init__: self.sync()":
        _DURABILITY + "test_a_new_index_is_durable_before_it_is_used",
    "index/sqlite/engine.py SqliteFile.close: self.sync()": _DURABILITY + "test_closing_leaves_the_file_synced",
    "index/sqlite/files.py sync_folder: os.fsync(descriptor)":
        _DURABILITY + "test_a_rebuilt_index_is_synced_before_it_takes_the_name",
    "index/sqlite/files.py replace: sync_folder(old.parent)":
        _DURABILITY + "test_a_rebuilt_index_is_synced_before_it_takes_the_name",
    "index/sqlite/files.py replace: sync_folder(old.parent) again":
        _DURABILITY + "test_a_rebuilt_index_is_synced_before_it_takes_the_name",
    "server/strays.py Strays._index_durably: self._index.make_durable()": _STRAYS,
}
# Of `make test`.
SAMPLE = ("archive/durable.py replace_file: os.fsync(fd)",)


def test_these_are_all_calls() -> None:
    assert set(call_sites()) == CALLS.keys() | ELSEWHERE.keys()
    # The instances' own: ("association", "slot") above, and test_is_missed_in_the_running_server_too.
    assert in_cython() == ["if not self.error and fdatasync("]


@pytest.mark.parametrize("where", CALLS if IS_LONG else SAMPLE)
def test_a_program_without_it_is_caught(scratch: Path, tally: Tally, where: str) -> None:
    """The real server, from a copy of the package that lacks that one call."""
    environment = program_without(call_sites()[where], scratch)
    if where in MANY:
        steps = record_load(scratch, lone=150, each_of_four=20, environment=environment).steps
    else:
        steps = record_everything(scratch, environment).steps
    broken = rules_of(steps)
    tally.add("calls that sync taken out of the program", 1, CALLS[where] not in broken)
    assert CALLS[where] in broken


@pytest.mark.parametrize("where", ELSEWHERE if IS_LONG else [*ELSEWHERE][:1])
def test_a_program_without_it_fails_another_test(scratch: Path, tally: Tally, where: str) -> None:
    """That test passes, and fails on a copy of the package that lacks that one call."""
    assert passes(ELSEWHERE[where], scratch, {"PYTHONPATH": str(PACKAGE.parent)})
    environment = program_without(call_sites()[where], scratch)
    environment["PYTHONPATH"] += f":{PACKAGE.parent}"
    caught = not passes(ELSEWHERE[where], scratch, environment)
    tally.add("calls that sync taken out of the program", 1, not caught)
    assert caught


def passes(test: str, folder: Path, environment: dict[str, str]) -> bool:
    """Whether that one test does, with the package that the environment names; one that hangs does not."""
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "pythonpath=", "--timeout",
               "60", "--basetemp", str(folder / "temporary"), test]
    try:
        done = subprocess.run(command, cwd=PACKAGE.parent, env=os.environ | environment, capture_output=True,
                              timeout=100)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@pytest.mark.parametrize("pattern", ["intake/*", "intake"])
def test_is_missed_in_the_running_server_too(scratch: Path, tally: Tally, pattern: str) -> None:
    """With a library that swallows the syncs, also those of Cython."""
    recording = record_without(scratch, pattern)
    assert recording.statuses == [0, 0, 0]
    expected = MISSED["association", "slot"] if pattern == "intake/*" else MISSED["others", "intake"]
    broken = rules_of(recording.steps)
    if pattern == "intake/*":
        tally.add("calls that sync taken out of the program", 1, expected not in broken)
    assert expected in broken


# Those whose absence loses instances that were acknowledged, commitments that were accepted, not just order.
LOSES = [("association", "slot"), ("association", "commitments"), ("others", "intake"), ("others", "log"),
         ("others", "series")]
MOST_STATES = 200


@pytest.mark.parametrize("who", LOSES, ids=" ".join)
def test_power_cuts_miss_it_too(everything: Recording, scratch: Path, home: Home, who: tuple[str, str]) -> None:
    """The same by what is lost: it needs no rule."""
    some = cuts(without(everything.steps, who), everything.promised, MOST_STATES, 1,
                lambda step: step.kind in ("ack", "accept", "unlink", "answer"))
    assert cut_and_recover(some, scratch, home, enough=1).violations
