"""Small files are replaced whole, whatever an earlier power cut left beside them."""
from __future__ import annotations

import os
from pathlib import Path

from dicomserver.archive.durable import Folder, read_file, replace_file


def test_a_file_is_replaced(tmp_path: Path) -> None:
    with Folder(str(tmp_path)) as folder:
        replace_file(folder, "starts", b"1\n")
        replace_file(folder, "starts", b"2\n")
        assert read_file(folder, "starts", 64) == b"2\n"
    assert os.listdir(tmp_path) == ["starts"]


def test_the_file_in_place_is_never_written_to_though_a_power_cut_left_it_a_second_name(tmp_path: Path) -> None:
    """POSIX lets a rename leave both names; a rename between two names of one file then does nothing."""
    (tmp_path / "starts").write_bytes(b"1\n")
    os.link(tmp_path / "starts", tmp_path / "starts.new")
    in_place = os.open(tmp_path / "starts", os.O_RDONLY)
    with Folder(str(tmp_path)) as folder:
        replace_file(folder, "starts", b"2\n")
        assert read_file(folder, "starts", 64) == b"2\n"
    assert os.read(in_place, 64) == b"1\n"
    os.close(in_place)
    assert os.listdir(tmp_path) == ["starts"]
