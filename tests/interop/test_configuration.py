"""What the configuration says is what peers and users see."""
from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.interop.installed import Installed, StartFailed, wait_until
from tests.interop.sender import Rejected, Sender
from tests.interop.synthetic import CT, instance

VERIFICATION = [("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])]
WRONG_CALLING, WRONG_CALLED, LOCAL_LIMIT = (1, 1, 3), (1, 1, 7), (2, 3, 2)


def answer(server: Installed, calling: str = "INTEROP", called: str = "ANY-SCP") -> tuple | None:
    """(result, source, reason) of the rejection; None if we were let in and heard."""
    try:
        with Sender(server.port, VERIFICATION, calling=calling, called=called) as association:
            assert association.echo() == 0
    except Rejected as rejected:
        return rejected.args
    return None


@pytest.mark.parametrize("settings, answers", [
    ({}, {"ANYBODY": None}),
    ({"allowedCallingAETitles": ["CT1", "CT2"]},
     {"CT1": None, "CT2": None, "CT3": WRONG_CALLING, "ct1": WRONG_CALLING}),
    ({"blockedCallingAETitles": ["OLD"]}, {"OLD": WRONG_CALLING, "NEW": None}),
    ({"allowedCallingAETitles": ["A", "B"], "blockedCallingAETitles": ["B"]}, {"A": None, "B": WRONG_CALLING}),
])
def test_who_may_call(settings: dict, answers: dict, install: Callable[..., Installed]) -> None:
    server = install(**settings).start()
    assert {calling: answer(server, calling) for calling in answers} == answers


@pytest.mark.parametrize("check, other", [(False, None), (True, WRONG_CALLED)])
def test_the_called_ae_title(check: bool, other: tuple | None, install: Callable[..., Installed]) -> None:
    server = install(aeTitle="ARCHIVE", checkCalledAETitle=check).start()
    assert [answer(server, called=called) for called in ("ARCHIVE", "SOMEBODY")] == [None, other]


def test_one_association_more_than_allowed_is_refused(install: Callable[..., Installed]) -> None:
    server = install(maxConcurrentConnections=2).start()
    with ExitStack() as open_associations:
        for _ in range(2):
            open_associations.enter_context(Sender(server.port, VERIFICATION))
        assert answer(server) == LOCAL_LIMIT
        assert server.stats()["associationsActive"] == 2
    assert answer(server) is None


def test_sighup_reads_the_configuration_anew(install: Callable[..., Installed]) -> None:
    server = install().start()
    with Sender(server.port, VERIFICATION, calling="CT1") as goes_on:
        server.configure(blockedCallingAETitles=["CT1"])
        server.signal(signal.SIGHUP)
        wait_until(lambda: answer(server, "CT1") == WRONG_CALLING)
        assert answer(server, "CT2") is None
        assert goes_on.echo() == 0
    server.configuration.write_text('{"prot": 104}')
    server.signal(signal.SIGHUP)
    wait_until(lambda: any("the settings stay as they were" in line for line in server.lines))
    assert answer(server, "CT1") == WRONG_CALLING
    (complaint,) = [line for line in server.lines if "the settings stay as they were" in line]
    assert "prot" in complaint and "port" in complaint
    server.configure()
    server.signal(signal.SIGHUP)
    wait_until(lambda: answer(server, "CT1") is None)


def refusal(server: Installed) -> tuple[int, str]:
    """The exit code of a start that must fail, and its one line."""
    with pytest.raises(StartFailed) as failed:
        server.start()
    (line,) = [line for line in failed.value.lines if line]
    return failed.value.code, line


def test_a_second_server_on_the_same_data_directory(install: Callable[..., Installed]) -> None:
    first, second = install().start(), install()
    second.data = first.data
    second.configure()
    assert refusal(second) == (1, f"dicom-server: the data directory {first.data} is in use by process "
                                  f"{first.process.pid}")
    assert answer(first) is None
    rebuild = second.run("index", "rebuild", "--config", str(second.configuration))
    assert rebuild.returncode == 1 and "is in use by process" in rebuild.stderr
    first.stop()
    assert answer(second.start()) is None


def test_a_busy_port(install: Callable[..., Installed]) -> None:
    first, second = install().start(), install()
    second.port = first.port
    second.configure()
    code, line = refusal(second)
    assert code == 1 and str(first.port) in line
    assert not second.data.exists()


def test_a_bad_key(install: Callable[..., Installed]) -> None:
    code, line = refusal(install(maxPDUsize=4096))
    assert code == 78 and "maxPDUsize" in line and "maxPDUSize" in line


def test_without_a_database_the_index_is_rebuilt_at_each_start(install: Callable[..., Installed]) -> None:
    server = install("none").start()
    several = [instance(study, number) for study in (1, 2) for number in range(3)]
    with Sender(server.port, [(CT, ["1.2.840.10008.1.2.1"])]) as association:
        assert [association.store(1, CT, one.sop_instance, one.dataset).status for one in several] == [0] * 6
    server.stop()
    assert not list(server.data.glob("dicom-server.db*"))
    server.start()
    assert server.lines[-1].endswith("database in memory, 2 studies")
    assert [server.stats()[level] for level in ("patients", "studies", "series", "instances")] == [1, 2, 2, 6]
    server.kill()
    server.start()
    assert server.stats()["instances"] == 6


def test_the_same_files_may_change_from_one_database_to_another(install: Callable[..., Installed]) -> None:
    server = install("none").start()
    with Sender(server.port, [(CT, ["1.2.840.10008.1.2.1"])]) as association:
        assert association.store(1, CT, instance(1, 1).sop_instance, instance(1, 1).dataset).status == 0
    server.stop()
    server.database = "sqlite"
    server.configure()
    server.start()
    assert server.stats()["instances"] == 1
