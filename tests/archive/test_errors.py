from __future__ import annotations

import errno

import pytest

from dicomserver.archive import errors
from dicomserver.archive.errors import ArchiveError, FilingFailed, translated


def test_the_systems_errors_do_not_leave_the_room() -> None:
    with (pytest.raises(FilingFailed, match="^filing: Input/output error$") as caught,
          translated(FilingFailed, "filing")):
        raise OSError(errno.EIO, "Input/output error", "1.2.3/4.5.6.dcm")
    assert caught.value.errno == errno.EIO
    assert not caught.value.full


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_says_that_room_would_help(number: int) -> None:
    with pytest.raises(FilingFailed) as caught, translated(FilingFailed, "filing"):
        raise OSError(number, "")
    assert caught.value.full


def test_one_base_for_all() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)
             and kind.__module__ == errors.__name__]
    assert len(kinds) > 15
    assert all(issubclass(kind, ArchiveError) for kind in kinds)
