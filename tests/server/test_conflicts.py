import pytest

from dicomserver.index import IndexUnavailable
from dicomserver.server.conflict import Conflict, Undecided
from dicomserver.server.conflicts import Conflicts, commands
from dicomserver.server.control import CommandFailed

ONE, TWO, THREE = (Conflict("a", "conflict", sop_instance_uid="1.2"), Conflict("b", "damaged", sop_instance_uid="1.2"),
                   Conflict("1.9", "patient"))


class Source:
    def __init__(self, *found, error=None):
        self.found, self.error, self.decided = list(found), error, []

    def conflicts(self):
        if self.error:
            raise self.error
        yield from self.found

    def count(self):
        if self.error:
            raise self.error
        return len(self.found)

    def show(self, conflict):
        return {"first": conflict.name}

    def accept(self, conflict):
        self.decided.append(("accept", conflict.name))
        return "done"

    def reject(self, conflict):
        raise Undecided("not this one")


@pytest.fixture
def sources():
    return Source(ONE, TWO), Source(THREE)


@pytest.fixture
def run(sources):
    table = commands(Conflicts(*sources))
    seen = []

    def called(name, args=None):
        seen.clear()
        return table[f"conflicts.{name}"](args or {}, seen.append), list(seen)
    return called


def test_all_sources_are_listed_and_counted(run, sources):
    assert run("list") == ({"conflicts": 3}, [ONE.as_json(), TWO.as_json(), THREE.as_json()])
    assert Conflicts(*sources).figures() == {"conflictsWaiting": 3}
    assert Conflicts().figures() == {"conflictsWaiting": 0}


@pytest.mark.parametrize("wanted", [ONE.id, ONE.id[:4], "a"])
def test_found_by_id_or_name(run, sources, wanted):
    assert run("show", {"id": wanted}) == ({"conflict": ONE.as_json(), "shown": {"first": "a"}}, [])
    assert run("accept", {"id": wanted}) == ({"conflict": ONE.as_json(), "done": "done"}, [])
    assert sources[0].decided == [("accept", "a")]


def test_found_in_the_source_that_has_it(run, sources):
    assert run("accept", {"id": "1.9"})[0]["done"] == "done"
    assert sources[1].decided == [("accept", "1.9")] and sources[0].decided == []


@pytest.mark.parametrize("wanted, says", [
    ("1.2", "several conflicts are meant"), ("9.9", "there is no such conflict"), (ONE.id[:3], "at least 4 characters"),
    ("", "which conflict"), (None, "which conflict"), (5, "which conflict")])
def test_not_found(run, sources, wanted, says):
    for what in ("show", "accept", "reject"):
        with pytest.raises(CommandFailed, match=says):
            run(what, {"id": wanted})
    assert sources[0].decided == []


def test_what_a_source_refuses_is_told(run):
    with pytest.raises(CommandFailed, match="not this one"):
        run("reject", {"id": THREE.id})


@pytest.mark.parametrize("error, says", [(Undecided("unreadable"), "unreadable"),
                                         (IndexUnavailable("closed"), "the index does not answer: closed")])
def test_a_source_that_fails(error, says):
    conflicts = Conflicts(Source(error=error))
    with pytest.raises(CommandFailed, match=says):
        commands(conflicts)["conflicts.list"]({}, lambda progress: None)
    assert conflicts.figures() == {"conflictsWaiting": None}
