import errno

import pytest

from dicomserver.archive.errors import ArchiveLocked, ArchiveTooNew, CopyFailed
from dicomserver.cli.arguments import Failed
from dicomserver.cli.failures import disk_told, told
from dicomserver.config.problems import ConfigurationError
from dicomserver.index import IndexDamaged, IndexTooNew, IndexUnavailable
from dicomserver.server.control import ControlUnavailable
from dicomserver.server.doors import PortInUse


@pytest.mark.parametrize("kind", [PortInUse, IndexUnavailable, ControlUnavailable])
def test_what_the_server_refuses_with_is_what_the_user_reads(kind):
    with pytest.raises(Failed, match="^why$"), told():
        raise kind("why")


def test_a_damaged_index_is_told_in_words_with_what_helps():
    with pytest.raises(Failed, match=r"^the index is damaged \(why\); .*`dicom-server index rebuild`"), told():
        raise IndexDamaged("why")


def test_a_second_server_on_the_same_directory():
    with pytest.raises(Failed, match="^the data directory /d is in use by process 7$"), told():
        raise ArchiveLocked("/d", 7)


@pytest.mark.parametrize("kind", [ArchiveTooNew, IndexTooNew])
def test_data_of_a_newer_version_must_not_be_tried_again_and_again(kind):
    with pytest.raises(ConfigurationError) as refused, told():
        raise kind("version 9 wrote it")
    assert (str(refused.value), refused.value.exit_code) == ("version 9 wrote it", 78)


@pytest.mark.parametrize(
    "error, line",
    [
        (PermissionError(13, "Permission denied", "/log"), "/log: Permission denied"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (OSError("odd"), "OSError"),
    ],
)
def test_the_systems_errors(error, line):
    with pytest.raises(Failed, match=f"^{line}$"), told():
        raise error


def test_a_fault_of_ours_is_not_hidden():
    with pytest.raises(KeyError), told():
        raise KeyError


@pytest.mark.parametrize("number, words", [
    (errno.ENOSPC, "/d: its disk is full. So what"), (errno.EXDEV, "/d: copying: Invalid cross-device link. So what")])
def test_what_is_wrong_with_a_disk(number, words):
    with pytest.raises(Failed, match=f"^{words}$"), disk_told("/d", "So what"):
        raise CopyFailed("copying", number)
