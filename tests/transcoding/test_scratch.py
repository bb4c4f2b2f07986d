from __future__ import annotations

import os

import pytest

from tests.transcoding.datasets import open_scratch


def test_the_file_is_gone_after_the_block() -> None:
    with open_scratch(7) as scratch:
        assert (scratch.most, scratch.length, os.fstat(scratch.file).st_nlink) == (7, 0, 0)
    with pytest.raises(OSError):
        os.fstat(scratch.file)
