"""A server under strace while it puts instances into the trash, brings them back, and empties it."""
from __future__ import annotations

from pathlib import Path

from tests.crash.interpreting import Interpreter
from tests.crash.recording import Recording, wait_until
from tests.crash.running import Running
from tests.crash.traffic import Sample, sample


def record_trash(folder: Path) -> Recording:
    """Into the trash and back, filed and not, with other deletions and a kill in between; at last its time is over."""
    data = folder / "data"
    data.mkdir()
    recording = Recording(data)
    first = [sample(number, 1, octets=200) for number in range(4)]
    other = [sample(10 + number, 2, octets=200) for number in range(2)]
    traces = [folder / f"trace-{number}" for number in range(3)]
    with Running(data, traces[0]) as server:
        recording.store(server.port, [*first, *other])
        _delete(recording, server, "study", first[0].study, first)
        _undelete(recording, server, "instance", first[0].uid, first[:1])
        _undelete(recording, server, "study", first[0].study, first[1:])
        _delete(recording, server, "instance", first[1].uid, first[1:2])
        recording.store(server.port, [sample(1, 1, version=1, octets=200)])
        _delete(recording, server, "study", other[0].study, other)
        server.kill()
    with Running(data, traces[1]) as server:
        _undelete(recording, server, "instance", other[0].uid, other[:1])
        recording.delete(server, "study", other[0].study, other)
        _delete(recording, server, "instance", first[2].uid, first[2:3])
        server.stop()
    with Running(data, traces[2], {"DICOM_SERVER_TRASH_DAYS": "0"}) as server:
        wait_until(lambda: list((data / "trash").iterdir()) == [])
        server.stop()
    recording.read(Interpreter(str(data)), *traces)
    return recording


def _delete(recording: Recording, server: Running, level: str, uid: str, samples: list[Sample]) -> None:
    recording.ledger.deleting(samples)
    server.command("delete", f"--{level}", uid, "--yes")


def _undelete(recording: Recording, server: Running, level: str, uid: str, samples: list[Sample]) -> None:
    recording.ledger.undeleting(samples)
    server.command("undelete", f"--{level}", uid)
