import dataclasses
from pathlib import Path

import pytest

from dicomserver.index import IndexUnavailable
from dicomserver.server import commands
from dicomserver.server.control import CommandFailed
from dicomserver.server.settings import LobbySettings, ServerSettings
from dicomserver.server.statistics import Statistics
from dicomserver.server.verification import Verified


class FakeVerifier:
    def verify(self, on_progress, on_damaged, **uids):
        if uids.get("study") == "1.2.9":
            raise IndexUnavailable("closed")
        on_progress(Verified(2, 1, 100))
        on_damaged("1.2.3", "its file is missing")
        return Verified(2, 2, 200, 1)

    def known(self):
        return [("1.2.3", "its file is missing")]


def run(name, args, reload=lambda: False):
    seen = []
    table = commands.table(Statistics(), FakeVerifier(), reload, {"more": lambda args, progress: args})
    return table[name](args, seen.append), seen


def test_stats():
    result, _ = run("stats", {})
    assert result["connectionsTotal"] == 0


def test_other_tables_are_added():
    assert run("more", {"one": 1}) == ({"one": 1}, [])


def test_verify_reports_as_it_goes():
    result, seen = run("verify", {})
    assert result == {"verified": 2, "bytes": 200, "damaged": 1, "total": 2}
    assert seen == [{"verified": 1, "bytes": 100, "damaged": 0, "total": 2},
                    {"damagedInstance": "1.2.3", "why": "its file is missing"}]


@pytest.mark.parametrize("args, says", [
    ({"patient": "X"}, "which"), ({"study": "../x"}, "not a UID"), ({"study": "1.2.9"}, "the index does not answer")])
def test_verify_that_will_not_do(args, says):
    with pytest.raises(CommandFailed, match=says):
        run("verify", args)


def test_what_is_known_to_be_damaged():
    assert run("damaged", {})[0] == {"damaged": [("1.2.3", "its file is missing")]}


def test_reload():
    assert run("reload", {}, reload=lambda: True)[0] == {"restartNeeded": True}

    def bad():
        raise commands.ReloadFailed("port: a number from 1 to 65535")

    with pytest.raises(CommandFailed, match="^port: a number"):
        run("reload", {}, reload=bad)


class Pool:
    active = 2


class WaitingRoom:
    waiting = 3


def test_figures_of_the_running_server(store, monkeypatch):
    store.receive("1.2.3.4.5", b"pixels")
    (store.path / "quarantine" / "x.dcm").write_bytes(b"")
    (store.path / "quarantine" / "x.json").write_bytes(b"")
    statistics = Statistics()
    commands.watch(statistics, store.archive, store.index, store.mover, WaitingRoom, Pool)
    figures = statistics.snapshot()
    assert figures["diskFreeBytes"] > 0 and figures["waitingBytes"] > 100
    expected = {"associationsActive": 2, "connectionsActive": 5, "waitingInstances": 1, "moverFails": False,
                "quarantined": 1, "patients": 1, "studies": 1, "series": 1, "instances": 1}
    assert {name: figures[name] for name in expected} == expected

    def unavailable():
        raise IndexUnavailable("gone")

    monkeypatch.setattr(store.index, "counts", unavailable)
    figures = statistics.snapshot()
    assert figures["instances"] is None and figures["associationsActive"] == 2


def test_what_only_a_restart_changes():
    running = ServerSettings(port=104, data_directory=Path("/a"))
    new = ServerSettings(port=105, data_directory=Path("/b"), ae_title="NEW", lobby=LobbySettings(capacity=7))
    kept = commands.keep_fixed(running, new)
    assert kept.fixed() == running.fixed()
    assert (kept.ae_title, kept.lobby.capacity) == ("NEW", 7)
    assert dataclasses.replace(new, port=104, data_directory=Path("/a")) == kept
