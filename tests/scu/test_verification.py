import pytest

from dicomserver.scu import verification
from dicomserver.scu.part10_files import read_file
from dicomserver.scu.verification import missing
from tests.scu.scp import instance, write


@pytest.fixture
def files(tmp_path):
    return [read_file(write(tmp_path / f"{number}.dcm", instance(number, series=number % 2 + 1)))
            for number in range(9)]


def test_all_are_there(scp, files, monkeypatch):
    monkeypatch.setattr(verification, "MOST_UIDS", 2)
    server = scp(kept=[instance(number, series=number % 2 + 1) for number in range(9)])
    assert missing(server.peer, files) == []
    assert (server.associations, len(server.seen)) == (1, 3 + 2)


def test_some_are_not(scp, files):
    server = scp(kept=[instance(number, series=number % 2 + 1) for number in range(4)])
    assert sorted(file.path for file in missing(server.peer, files)) == sorted(file.path for file in files[4:])


def test_what_says_not_where_it_belongs_is_not_verified(scp, tmp_path):
    made = instance()
    del made.StudyInstanceUID
    file = read_file(write(tmp_path / "x.dcm", made))
    server = scp()
    assert (missing(server.peer, [file]), server.associations) == ([file], 0)
