import pytest

from dicomserver.archive.errors import TrashFailed
from dicomserver.index import IndexUnavailable
from dicomserver.server import deletion_commands
from dicomserver.server.control import CommandFailed
from dicomserver.server.deletion import Asked, Counted, DeletionStopped, PatientUnclear
from dicomserver.server.trash import DeletionInTrash, Undeleted, UndeletionStopped


class FakeDeleter:
    def __init__(self) -> None:
        self.asked: dict = {}

    def count(self, asked):
        self.asked = asked, None
        if asked.patient == "P2":
            raise PatientUnclear("which issuer?")
        if asked.study == "1.2.9":
            raise IndexUnavailable("closed")
        return Counted(1, 3, 1500)

    def delete(self, asked, now, progress):
        self.asked = asked, now
        if asked.study == "1.2.9":
            raise DeletionStopped("no space; 7 instances were deleted before")
        progress(5)
        return 5


class FakeTrash:
    seconds = 60.0

    def __init__(self) -> None:
        self.chosen = None

    def undelete(self, chosen, on_progress, on_stays):
        self.chosen = chosen
        on_progress(Undeleted(2, 1, 0))
        on_stays("1.2.3", "it was stored anew")
        if self.seconds == 0:
            raise UndeletionStopped("no space; 1 instances were brought back before")
        return Undeleted(2, 1, 1)

    def deletions(self):
        if self.seconds == 0:
            raise TrashFailed("reading the trash", 5)
        yield DeletionInTrash("2-1", "study 1.2.3", 100, 160, 1, 2, 3000)


def run(name, args, deleter=None, trash=None):
    seen = []
    return deletion_commands.table(deleter or FakeDeleter(), trash or FakeTrash())[name](args, seen.append), seen


@pytest.mark.parametrize("now", [None, False, True])
def test_delete_passes_uids_on_and_reports(now):
    deleter = FakeDeleter()
    asked = {"study": "1.2.3", "instance": "1.2.3.4", "series": None}
    assert run("delete", asked if now is None else asked | {"now": now}, deleter) == (
        {"deleted": 5}, [{"deleted": 5}])
    assert deleter.asked == (Asked(study="1.2.3", instance="1.2.3.4"), bool(now))


@pytest.mark.parametrize("issuer", [None, "", "HERE"])
def test_a_patient(issuer):
    deleter = FakeDeleter()
    args = {"patient": "P1"} if issuer is None else {"patient": "P1", "issuer": issuer}
    assert run("delete", args, deleter)[0] == {"deleted": 5}
    assert deleter.asked == (Asked(patient="P1", issuer=issuer), False)
    run("count", args, deleter)
    assert deleter.asked == (Asked(patient="P1", issuer=issuer), None)


@pytest.mark.parametrize("args, says", [
    ({}, "which"), ({"study": None}, "which"), ({"study": "1.2", "patient": "X"}, "a patient, or"),
    ({"patient": ""}, "a patient, or"), ({"patient": 5}, "patient is not"),
    ({"issuer": "X"}, "which"), ({"now": True}, "which"),
    ({"study": "../x"}, "not a UID"), ({"study": 5}, "not a UID"), ({"study": "1.2", "now": 1}, "now is not"),
    ({"series": ["1.2"]}, "not a UID"), ({"study": "1.2.9"}, "7 instances"),
])
def test_delete_that_will_not_do(args, says):
    with pytest.raises(CommandFailed, match=says):
        run("delete", args)


def test_count():
    counted = {"studies": 1, "instances": 3, "bytes": 1500, "trashSeconds": 60.0}
    assert run("count", {"study": "1.2.3"}) == (counted, [])


@pytest.mark.parametrize("args, says", [({}, "which"), ({"study": "1.2.9"}, "the index does not answer"),
                                        ({"patient": "P2"}, "^which issuer")])
def test_count_that_will_not_do(args, says):
    with pytest.raises(CommandFailed, match=says):
        run("count", args)


@pytest.mark.parametrize("args", [{"deletion": "2-1"}, {"series": "1.2.3"}, {"deletion": "2-1", "study": "1.2"}])
def test_undelete(args):
    trash = FakeTrash()
    assert run("undelete", args, trash=trash) == (
        {"restored": 1, "stays": 1, "total": 2},
        [{"restored": 1, "stays": 0, "total": 2}, {"staysInTrash": "1.2.3", "why": "it was stored anew"}])
    assert trash.chosen is not None


@pytest.mark.parametrize("args, says", [({}, "which"), ({"deletion": 5}, "deletion is not"), ({"study": "x"}, "a UID"),
                                        ({"study": "1.2"}, "1 instances were brought back")])
def test_undelete_that_will_not_do(args, says):
    trash = FakeTrash()
    trash.seconds = 0
    with pytest.raises(CommandFailed, match=says):
        run("undelete", args, trash=trash)


def test_the_list():
    assert run("trash", {}) == ({"deletions": 1}, [{
        "deletion": "2-1", "asked": "study 1.2.3", "deletedAt": 100, "until": 160, "studies": 1, "instances": 2,
        "bytes": 3000}])


def test_a_list_that_cannot_be_had():
    trash = FakeTrash()
    trash.seconds = 0
    with pytest.raises(CommandFailed, match="^reading the trash: Input/output error$"):
        run("trash", {}, trash=trash)
