"""Once acknowledged, kept: over stops, kills, rebuilds; until it is deleted."""
from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.interop.installed import Installed
from tests.interop.rows import rows
from tests.interop.sender import Ended, Response, Sender
from tests.interop.stored import Sent, check, sent_of
from tests.interop.synthetic import CT, instance
from tests.shipped import shipped

SYNTAX = "1.2.840.10008.1.2.1"


def send(server: Installed, *several: Sent) -> list[int]:
    """Each over an association of its own; -> the statuses."""
    return [respond(server, one).status for one in several]


def respond(server: Installed, sent: Sent) -> Response:
    with Sender(server.port, [(sent.sop_class, [sent.transfer_syntax])], calling=sent.calling) as association:
        return association.store(1, sent.sop_class, sent.sop_instance, sent.dataset)


def counts(server: Installed) -> list[int]:
    stats = server.stats()
    return [stats[level] for level in ("patients", "studies", "series", "instances")]


def some() -> list[Sent]:
    """Real files, each with a SOP Instance UID of its own."""
    found = [sent_of(path) for path in shipped("dicomdirtests/**/*")
             if path.read_bytes()[128:132] == b"DICM" and not path.name.startswith("DICOMDIR")]
    return found[::4] + [instance(study, number) for study in (1, 2) for number in range(5)]


def test_a_stop_and_a_new_start_keep_everything(server: Installed) -> None:
    sent = some()
    assert set(send(server, *sent)) == {0}
    before = counts(server)
    lines = server.stop()       # at once: what waits for the mover has to be filed on the way
    assert lines[-1].endswith("stopped")
    assert len(server.files()) == len(sent) and not list((server.data / "intake").iterdir())
    server.start()
    assert f"{before[1]} studies" in server.lines[-1]
    assert counts(server) == before and before[3] == len(sent)
    for one in sent:
        check(server.data, one)
    assert send(server, *sent) == [0] * len(sent)     # known, each of them
    assert counts(server) == before


def test_sigkill_under_load_keeps_everything_acknowledged(server: Installed) -> None:
    acknowledged: list[Sent] = []
    enough = threading.Event()

    def load(study: int) -> None:
        try:
            with Sender(server.port, [(CT, [SYNTAX])]) as association:
                for number in range(100_000):
                    one = instance(study, number, size=20_000)
                    if association.store(1, CT, one.sop_instance, one.dataset).status == 0:
                        acknowledged.append(one)
                    if len(acknowledged) >= 400:
                        enough.set()
        except (OSError, Ended, KeyError):
            return      # the server is gone

    threads = [threading.Thread(target=load, args=(study,)) for study in range(1, 5)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    server.kill()
    for thread in threads:
        thread.join()
    server.start()
    stored = counts(server)[3]
    assert len(acknowledged) <= stored <= len(acknowledged) + len(threads)
    server.filed(stored)
    for one in acknowledged:
        check(server.data, one)
    assert not server.quarantined()
    assert send(server, instance(9, 1)) == [0]


def test_an_index_rebuilt_from_the_files_is_the_same(install: Callable[..., Installed]) -> None:
    server = install("sqlite").start()
    sent = some()
    assert set(send(server, *sent)) == {0}
    before = counts(server)
    server.stop()
    old = rows(server.data)
    assert server.rebuild() == f"Index rebuilt: {len(sent)} instances\n"
    new = rows(server.data)
    assert [len(new[table]) for table in ("patients", "studies", "series", "instances")] == before
    assert new == old
    server.start()
    assert counts(server) == before


def test_a_lost_index_comes_back_from_the_files(install: Callable[..., Installed]) -> None:
    """Even where its instances say different things of one patient: the first one to come counts, as before."""
    server = install("sqlite").start()
    assert set(send(server, *some())) == {0}
    before = counts(server)
    server.stop()
    old = rows(server.data)
    for path in server.data.glob("dicom-server.db*"):
        path.unlink()
    server.start()
    assert counts(server) == before
    server.stop()
    assert rows(server.data) == old


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_what_is_deleted_stays_deleted(level: str, server: Installed) -> None:
    one, other = instance(1, 1), instance(2, 1)
    assert send(server, one, other) == [0, 0]
    uid = {"study": one.study, "series": one.series, "instance": one.sop_instance}[level]
    deleted = server.run("delete", "--yes", f"--{level}", uid, *server.where)
    assert (deleted.returncode, deleted.stdout) == (0, "Deleted 1 instance\n")
    server.stop()
    server.start()
    assert counts(server)[1:] == [1, 1, 1]
    assert [path.relative_to(server.data) for path in server.files()] == [other.path]
    assert send(server, one) == [0]      # and may come again
    assert counts(server)[3] == 2
    server.filed(2)
    check(server.data, one)


def test_what_is_deleted_does_not_come_back_by_a_rebuild(install: Callable[..., Installed]) -> None:
    server = install("sqlite").start()
    one, other = instance(1, 1), instance(2, 1)
    assert send(server, one, other) == [0, 0]
    server.call("delete", study=one.study)
    server.stop()
    assert server.rebuild() == "Index rebuilt: 1 instances\n"


def test_the_same_instance_again_is_not_doubled(server: Installed) -> None:
    one = instance(1, 1)
    assert send(server, one, one) == [0, 0]     # the first still waits for the mover
    server.filed(1)
    assert send(server, one) == [0]
    assert counts(server) == [1, 1, 1, 1]
    assert server.stats()["services"]["C-STORE"] == {"requests": 3, "failures": 0}
    server.stop()
    assert [path.relative_to(server.data) for path in server.files()] == [one.path]
    assert not list((server.data / "intake").iterdir()) and not server.quarantined()


OTHERS = {
    "other bytes": lambda: instance(1, 1, comment="changed"),
    "another transfer syntax": lambda: instance(1, 1, transfer_syntax="1.2.840.10008.1.2.4.70"),
    "another study": lambda: instance(2, 1, sop_instance=instance(1, 1).sop_instance),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_the_same_uid_with_another_content_is_set_aside(other: Callable[[], Sent], server: Installed) -> None:
    first, newcomer = instance(1, 1), other()
    assert send(server, first) == [0]
    response = respond(server, newcomer)
    assert response.status >> 12 == 0xC
    assert response.comment == "SOP Instance UID is stored with other content"
    server.filed(1)
    check(server.data, first)
    (aside,) = server.quarantined()
    assert aside.read_bytes().endswith(newcomer.dataset) and aside.stat().st_mode & 0o777 == 0o600
    server.stop()
    server.start()
    assert counts(server) == [1, 1, 1, 1] and server.stats()["quarantined"] == 1


PATIENTS = {"another name": {"patient_name": "Roe^Richard"}, "another birth date": {"birth_date": "19700101"},
            "another sex": {"sex": "M"}}


@pytest.mark.parametrize("change", PATIENTS.values(), ids=list(PATIENTS))
@pytest.mark.parametrize("study", [1, 2], ids=["in the same study", "in another study"])
def test_conflicting_patient_data_is_stored_and_flagged(study: int, change: dict[str, str],
                                                        install: Callable[..., Installed]) -> None:
    server = install("sqlite").start()
    assert send(server, instance(1, 1), instance(study, 2, **change)) == [0, 0]
    lines = server.stop()
    flagged = [row["of_instance"] for row in rows(server.data)["other_patients"]]
    assert flagged == ([instance(study, 2).sop_instance] if "sex" not in change else [])
    assert not any("Roe" in line or "Doe" in line for line in lines)


def test_the_log_names_no_patient(install: Callable[..., Installed]) -> None:
    server = install("sqlite", verbose=True).start()
    send(server, instance(1, 1), instance(1, 1, comment="changed"), instance(1, 2, patient_name="Roe^Richard"))
    lines = server.stop()
    assert len(lines) > 4
    assert not [line for line in lines if any(word in line for word in ("Doe", "Roe", "PATIENT-1", "19600229"))]
