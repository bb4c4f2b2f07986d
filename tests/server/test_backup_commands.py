import pytest

from dicomserver.index import IndexUnavailable
from dicomserver.server import backup_commands
from dicomserver.server.backup_commands import ROWS_AT_ONCE, is_stored
from dicomserver.server.control import CommandFailed
from dicomserver.server.settings import ServerSettings


@pytest.fixture
def ask(store):
    """-> the result of a command, and what was reported on the way."""
    table = backup_commands.table(store.archive, store.index, ServerSettings(data_directory=store.path))

    def asked(name, args):
        said = []
        return table[name](args, said.append), said

    return asked


def test_where_everything_is(store, ask):
    assert ask("backup", {}) == ({"dataDirectory": str(store.path), "identity": store.archive.identity(),
                                  "databaseUrl": f"sqlite://{store.path}/dicom-server.db"}, [])


def test_rows_come_in_parts(store, ask, monkeypatch):
    monkeypatch.setattr(backup_commands, "ROWS_AT_ONCE", 2)
    slots = [store.receive(f"1.2.3.4.{number}").slot for number in (1, 2, 3)]
    result, said = ask("rows", {})
    assert result == {} and [len(part["rows"]) for part in said] == [2, 1]
    (first, *_), *_ = (part["rows"] for part in said)
    (row,) = store.index.select(instance="1.2.3.4.1")
    assert first == (slots[0], row.checksum, row.file_length, "1.2.3", "1.2.3.4", "1.2.3.4.1")


def test_a_part_fits_into_a_line():
    from dicomserver.server.control_client import RESULT_LIMIT
    longest = [1 << 63, 1 << 64, 1 << 40, "1" * 64, "1" * 64, "1" * 64]
    assert len(str(longest)) * ROWS_AT_ONCE < RESULT_LIMIT


def test_what_is_stored(store, ask):
    one, two = store.receive("1.2.3.4.1"), store.receive("1.2.3.4.2")
    (row,) = store.index.select(instance="1.2.3.4.2")
    for uid, slot, answer in (("1.2.3.4.1", one.slot, True), ("1.2.3.4.1", one.slot + 9, False),
                              ("1.2.3.4.2", two.slot, True), ("9.9", 1, False)):
        assert ask("stored", {"instance": uid, "slot": slot})[0] == {"stored": answer}
    deletion = store.archive.begin_delete([row])
    assert not is_stored(store.archive, store.index, "1.2.3.4.2", two.slot)
    deletion.finish()


def test_an_index_that_does_not_answer(store, ask):
    store.index.close()
    for name, args in (("rows", {}), ("stored", {"instance": "1.2", "slot": 1})):
        with pytest.raises(CommandFailed, match="does not answer"):
            ask(name, args)
    with pytest.raises(IndexUnavailable):
        is_stored(store.archive, store.index, "1.2", 1)
