"""The same UID twice, and two patients in one study, decided at the terminal of a running server."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from dicomserver.server import control_client
from tests.interop.installed import Installed
from tests.interop.sender import Sender
from tests.interop.stored import Sent, check
from tests.interop.synthetic import instance

FIRST, NEWCOMER = instance(1, 1), instance(1, 1, comment="changed", size=2000)
ROE = instance(1, 2, patient_name="Roe^Richard")


def send(server: Installed, sent: Sent) -> int:
    with Sender(server.port, [(sent.sop_class, [sent.transfer_syntax])]) as association:
        return association.store(1, sent.sop_class, sent.sop_instance, sent.dataset).status


def typed(server: Installed, *arguments: str, code: int = 0) -> str:
    done = server.run("conflicts", *arguments, *server.where)
    assert done.returncode == code, done.stderr
    return done.stdout or done.stderr


def listed(server: Installed) -> list[dict]:
    found: list[dict] = []
    control_client.call(server.port, "conflicts.list", on_progress=found.append, folder=server.folder / "run")
    return found


def test_the_same_uid_twice(server: Installed) -> None:
    assert (send(server, FIRST), send(server, NEWCOMER)) == (0, 0xC001)
    server.filed(1)
    assert server.stats()["conflictsWaiting"] == 1
    assert typed(server, "list").endswith("Total: 1 conflict\n")
    conflict, = listed(server)
    assert (conflict["kind"], conflict["sourceAE"], conflict["sopInstanceUID"]) == (
        "conflict", "INTEROP", FIRST.sop_instance)
    shown = typed(server, "show", conflict["id"])
    assert "First difference    Patient Comments (0010,4000), byte " in shown
    assert f"Length of the dataset\n    stored    {len(FIRST.dataset)} bytes\n" \
           f"    newcomer  {len(NEWCOMER.dataset)} bytes" in shown
    assert typed(server, "accept", conflict["id"]).startswith(f"Accepted {conflict['id']}: what was stored is ")
    server.filed(1)
    check(server.data, NEWCOMER)
    assert send(server, NEWCOMER) == 0 and server.stats()["conflictsWaiting"] == 0
    server.kill()
    server.start()
    server.filed(1)
    check(server.data, NEWCOMER)
    replaced, = listed(server)
    assert replaced["kind"] == "replaced"
    typed(server, "accept", FIRST.sop_instance)      # the UID will do; and so everything is as it was
    server.filed(1)
    check(server.data, FIRST)
    assert "for ever" not in typed(server, "reject", listed(server)[0]["id"], "--yes")
    assert listed(server) == [] and list((server.data / "quarantine").iterdir()) == []
    lines = "\n".join(server.stop())
    assert "Doe" not in lines and "changed" not in lines and FIRST.sop_instance not in lines


@pytest.mark.parametrize("accept", [True, False])
def test_two_patients_in_one_study(install: Callable[..., Installed], accept: bool) -> None:
    server = install("sqlite").start()
    assert [send(server, one) for one in (FIRST, ROE)] == [0, 0]
    conflict, = listed(server)
    assert (conflict["kind"], conflict["studyInstanceUID"]) == ("patient", FIRST.study)
    shown = typed(server, "show", conflict["id"])
    assert "The study is of     PATIENT-1, Doe^Jane, born 19600229" in shown
    assert f"1 instance names    PATIENT-1, Roe^Richard, born 19600229\n    {ROE.sop_instance}" in shown
    assert "delete --instance UID" in typed(server, "reject", conflict["id"], "--yes", code=1)
    if accept:
        assert "counts as right (1 differ)" in typed(server, "accept", conflict["id"])
    else:
        server.call("delete", instance=ROE.sop_instance)
    server.filed(2 if accept else 1)
    assert listed(server) == [] and server.stats()["conflictsWaiting"] == 0
    server.stop()
    server.rebuild()
    server.start()
    assert len(listed(server)) == accept        # the files are all that a rebuilt index knows
    lines = "\n".join(server.stop())
    assert "Roe" not in lines and "Doe" not in lines
