import argparse
import contextlib

import pytest

from dicomserver.archive.errors import ArchiveLocked
from dicomserver.cli.arguments import Failed
from dicomserver.cli.running_or_stopped import running_or_stopped
from dicomserver.server.control_client import NotRunning


class Server:
    """One that runs."""

    def __init__(self, port, folder):
        self.data_directory = "/proc"


def no_server(port, folder):
    raise NotRunning("none")


@contextlib.contextmanager
def opened(settings, log):
    yield settings.data_directory


def asked(data_directory=None):
    return argparse.Namespace(port=11112, control_dir=None, data_directory=data_directory, config=None, database=None,
                              database_url=None)


def test_the_running_one():
    with running_or_stopped(asked(), Server, opened) as found:
        assert isinstance(found, Server)
    with running_or_stopped(asked("/proc/"), Server, opened) as found:
        assert isinstance(found, Server)


def test_another_than_meant(tmp_path):
    with pytest.raises(Failed, match="has the data directory /proc"), \
            running_or_stopped(asked(str(tmp_path)), Server, opened):
        pass


def test_the_stopped_one(tmp_path):
    (tmp_path / "format").touch()
    with running_or_stopped(asked(str(tmp_path)), no_server, opened) as found:
        assert found == tmp_path


def test_none_at_all(tmp_path):
    with pytest.raises(Failed, match="no server runs on port 11112, and there is no data directory"), \
            running_or_stopped(asked(str(tmp_path / "none")), no_server, opened):
        pass


def test_a_folder_that_is_no_archive_does_not_become_one(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(Failed, match="no server runs on port 11112, and .* is no data directory of dicom-server"), \
            running_or_stopped(asked(str(tmp_path)), no_server, opened):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_in_use_by_a_server_on_another_port(tmp_path):
    (tmp_path / "format").touch()

    def locked(settings, log):
        raise ArchiveLocked(str(tmp_path), 4711)

    with pytest.raises(Failed, match="in use by process 4711: .* --port"), \
            running_or_stopped(asked(str(tmp_path)), no_server, locked):
        pass
