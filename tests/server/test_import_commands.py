"""What the running server answers to an import."""
from __future__ import annotations

import logging

import pytest

from dicomserver.server.control import CommandFailed
from dicomserver.server.import_commands import MOST_AT_ONCE, known_instances, limits_of, table
from dicomserver.server.settings import AssociationSettings, ServerSettings, StorageSettings
from dicomserver.services.adoption import Verdict
from dicomserver.services.describe import ScanLimits
from tests.archive.files import lay_in
from tests.server.conftest import SERIES, STUDY

SETTINGS = ServerSettings(storage=StorageSettings(reserve=4711))


@pytest.fixture
def commands(store):
    commands = table(store.archive, store.index, store.mover.add, lambda: SETTINGS, logging.getLogger("test.store"))
    return {name: lambda args, command=command: command(args, lambda said: None) for name, command in commands.items()}


def test_where_to_import(commands, store) -> None:
    assert commands["import"]({}) == {"dataDirectory": str(store.path), "reserve": 4711}


def test_what_is_known(commands, store) -> None:
    waiting = store.receive("1.1", b"abc")
    row = store.index.find("1.1")
    said = commands["known"]({"instances": ["1.1", "1.2"]})
    assert said == {"known": {"1.1": (row.transfer_syntax_uid, len(f"{STUDY} {SERIES} abc"), row.checksum)}}
    deletion = store.archive.begin_delete([row])
    assert known_instances(store.archive, store.index, ["1.1"]) == {}
    store.index.remove(["1.1"], [waiting.slot])
    deletion.finish()


def test_files_are_judged_with_the_settings_of_the_moment(commands, store) -> None:
    name = lay_in(store.path, "1.1", b"no dataset")
    verdicts = commands["adopt"]({"names": [name]})["verdicts"]
    (verdict, why), = verdicts.values()
    assert verdict is Verdict.REFUSED and why.startswith("its dataset: ") and list(verdicts) == [name]


def test_slots_are_lent_until_they_are_taken_back(commands, store) -> None:
    places = commands["lend"]({"count": 2})["slots"]
    assert len(places) == 2 and all((store.path / place).stat().st_size == 0 for place in places)
    assert commands["take-back"]({}) == {}
    assert [place for place in places if (store.path / place).exists()] == []
    store.archive.refuse("the mover cannot move")
    with pytest.raises(CommandFailed, match="the mover cannot move"):
        commands["lend"]({"count": 1})
    store.archive.resume()


@pytest.mark.parametrize("count", [None, 0, -1, "1", MOST_AT_ONCE + 1])
def test_wrong_counts(count, commands) -> None:
    with pytest.raises(CommandFailed, match="count is not what it should be"):
        commands["lend"]({"count": count})


@pytest.mark.parametrize("args", [{}, {"names": "x"}, {"names": [1]}, {"names": ["0"] * (MOST_AT_ONCE + 1)}])
def test_wrong_arguments(commands, args) -> None:
    with pytest.raises(CommandFailed, match="names is not what it should be"):
        commands["adopt"](args)
    with pytest.raises(CommandFailed, match="instances is not what it should be"):
        commands["known"](args)


def test_an_index_that_does_not_answer(commands, store) -> None:
    store.index.close()
    with pytest.raises(CommandFailed, match="the index does not answer"):
        commands["known"]({"instances": ["1.1"]})


def test_limits() -> None:
    settings = ServerSettings(association=AssociationSettings(max_sequence_depth=3, max_inflated=5,
                                                              accept_private_sop_classes=False))
    limits = limits_of(settings)
    assert limits.scan == ScanLimits(sequence_depth=3, inflated=5) and not limits.private_sop_classes
