"""The two places where an import can go answer alike."""
from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive.errors import ArchiveLocked, ArchiveUnusable
from dicomserver.server.control import Control
from dicomserver.server.control_client import CommandFailed, NotRunning
from dicomserver.server.import_commands import table
from dicomserver.server.import_targets import RunningTarget, StoppedTarget
from dicomserver.server.settings import AssociationSettings, ServerSettings, StorageSettings
from dicomserver.services.adoption import Verdict
from dicomserver.wire.part10 import encode_file_meta
from tests.archive.files import lay_in, names
from tests.interop.synthetic import instance

LOG = logging.getLogger("test.import_targets")
ONE = instance(1, 1)


def settings(data: Path) -> ServerSettings:
    return ServerSettings(data_directory=data, storage=StorageSettings(reserve=4711))


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[StoppedTarget]:
    (tmp_path / "data").mkdir()
    with StoppedTarget(settings(tmp_path / "data"), LOG) as target:
        yield target


@pytest.fixture
def control(stopped: StoppedTarget, tmp_path: Path) -> Iterator[Control]:
    """The control socket of a server with that archive."""
    control = Control(11112, table(stopped._archive, stopped._index, stopped._mover.add,
                                   lambda: settings(tmp_path / "data"), LOG), lambda: None, LOG, tmp_path / "control")
    control.start()
    yield control
    control.close()
    control.finish()


@pytest.fixture(params=["running", "stopped"])
def target(request, stopped: StoppedTarget, control: Control, tmp_path: Path) -> RunningTarget | StoppedTarget:
    return stopped if request.param == "stopped" else RunningTarget(11112, tmp_path / "control")


def test_files_are_judged_and_stored(target, stopped: StoppedTarget, tmp_path: Path) -> None:
    assert (target.data_directory, target.reserve) == (str(tmp_path / "data"), 4711)
    good, bad = _laid_in_explicit(tmp_path / "data"), lay_in(tmp_path / "data", "1.2", b"rubbish")
    assert target.known([ONE.sop_instance]) == {}
    verdicts = target.adopt([good, bad])
    assert verdicts[good] == (Verdict.STORED, "") and set(verdicts) == {good, bad}
    assert verdicts[bad][0] is Verdict.REFUSED and verdicts[bad][1].startswith("its dataset: ")
    row = stopped._index.find(ONE.sop_instance)
    assert target.known([ONE.sop_instance, "1.2"]) == {
        ONE.sop_instance: (ONE.transfer_syntax, len(ONE.dataset), row.checksum)}
    assert stopped._mover.flush() and names(tmp_path / "data" / ONE.study / ONE.series) == [f"{ONE.sop_instance}.dcm"]


def test_slots_are_lent(target, tmp_path: Path) -> None:
    places = target.lend(3)
    assert len(set(places)) == 3 and all((tmp_path / "data" / place).is_file() for place in places)
    target.take_back()
    assert not any((tmp_path / "data" / place).exists() for place in places)


def test_a_server_that_stops(control: Control, tmp_path: Path) -> None:
    target = RunningTarget(11112, tmp_path / "control")
    with pytest.raises(CommandFailed, match="names is not what it should be"):
        target.adopt(["x"] * 1000)
    control.close()
    with pytest.raises(NotRunning):
        target.known([])


def test_one_process_has_a_stopped_one(stopped: StoppedTarget, tmp_path: Path) -> None:
    with pytest.raises(ArchiveLocked):
        StoppedTarget(settings(tmp_path / "data"), LOG)


def test_root_does_not_open_another_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("dicomserver.server.backup_origins.os.geteuid", lambda: 0)
    monkeypatch.setattr("dicomserver.server.backup_origins.os.stat", lambda path: type("", (), {"st_uid": 4711}))
    with pytest.raises(ArchiveUnusable, match="another user"):
        StoppedTarget(settings(tmp_path / "data"), LOG)


def test_limits_are_those_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    association = AssociationSettings(max_sequence_depth=0)
    with StoppedTarget(ServerSettings(data_directory=tmp_path / "data", association=association), LOG) as target:
        sequence = b"\x08\0\x15\x92SQ\0\0\x08\0\0\0" + b"\xfe\xff\x00\xe0\0\0\0\0"
        at = ONE.dataset.index(b"\x10\0\x10\0")
        name = _laid_in_explicit(tmp_path / "data", ONE.dataset[:at] + sequence + ONE.dataset[at:])
        (verdict, why), = target.adopt([name]).values()
    assert verdict is Verdict.REFUSED and "too deeply" in why


def _laid_in_explicit(data: Path, dataset: bytes = ONE.dataset) -> str:
    name = lay_in(data, ONE.sop_instance)
    meta = encode_file_meta(ONE.sop_class, ONE.sop_instance, ONE.transfer_syntax)
    (data / "imports" / name).write_bytes(bytes(128) + b"DICM" + meta + dataset)
    return name
