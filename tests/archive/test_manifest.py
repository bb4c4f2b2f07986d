from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomserver.archive.checksum import xxh3_64
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import BackupDamaged, InstanceDamaged
from dicomserver.archive.manifest import AbsentInstance, ListedFile, ListedInstance, Manifest, ManifestWriter, digest_of
from tests.archive.files import instance_bytes

INSTANCE = ListedInstance(0x5_0000_1234, 0xAB, 400, "1.2", "1.2.3", "1.2.3.4")
ENTRIES = [INSTANCE, AbsentInstance(7, "1.2.3.5"), ListedFile("quarantine/\udcffb\n.json", 3, "ab" * 32, 17)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Folder(str(tmp_path)) as opened:
        yield opened


def written(folder: Folder, entries: list, *, seal: bool = True) -> str:
    writer = ManifestWriter(folder, "m", "2026-01-01T00:00:00+00:00")
    for entry in entries:
        writer.add(entry)
    if seal:
        writer.seal()
    writer.close()
    return "m"


def test_gives_back_what_was_put_in(folder: Folder) -> None:
    manifest = Manifest(folder, written(folder, ENTRIES))
    assert (manifest.begun, manifest.instances) == ("2026-01-01T00:00:00+00:00", 1)
    assert list(manifest.entries()) == ENTRIES == list(manifest.entries())


def test_is_none_before_it_is_sealed(folder: Folder) -> None:
    with pytest.raises(BackupDamaged):
        Manifest(folder, written(folder, ENTRIES, seal=False))


def test_every_bit_and_every_length_counts(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / written(folder, ENTRIES)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BackupDamaged):
            Manifest(folder, "m")
    last = whole.rindex(b"\n", 0, -1)
    for at in range(last):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        with pytest.raises(BackupDamaged):
            Manifest(folder, "m")


def test_a_newer_version_is_refused(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomserver.archive.manifest.VERSION", 2)
    name = written(folder, [])
    monkeypatch.undo()
    with pytest.raises(BackupDamaged, match="newer"):
        Manifest(folder, name)


@pytest.mark.parametrize("entry", [
    ["file", "../../etc/passwd", 1, "ab", 1], ["file", "/etc/passwd", 1, "ab", 1], ["file", "a//b", 1, "ab", 1],
    ["instance", 1, 2, 3, "..", "1.2", "1.2"], ["instance", 1, 2], ["other", 1], []])
def test_what_would_lead_out_of_the_folder_or_makes_no_sense(folder: Folder, entry: list) -> None:
    writer = ManifestWriter(folder, "m", "now")
    writer._write(entry)
    writer.seal()
    with pytest.raises(BackupDamaged):
        list(Manifest(folder, "m").entries())


def test_places_say_what_is_in_them() -> None:
    assert INSTANCE.place == "instances/0000000500001/0000000500001234-00000000000000ab.dcm"
    assert INSTANCE.path == "1.2/1.2.3/1.2.3.4.dcm"
    assert len({INSTANCE.place, replace(INSTANCE, slot=1).place, replace(INSTANCE, checksum=1).place}) == 3
    assert ENTRIES[2].place == "files/" + "ab" * 32


def test_an_instance_is_checked_to_the_last_bit(tmp_path: Path) -> None:
    content = instance_bytes(9, "1.2.3", b"pixels")
    entry = ListedInstance(9, xxh3_64(b"pixels"), len(content), "1", "1.2", "1.2.3")

    def check(octets: bytes, entry: ListedInstance = entry) -> None:
        (tmp_path / "i").write_bytes(octets)
        with open(tmp_path / "i", "rb") as file:
            entry.check(file.fileno())

    check(content)
    for at in range(len(content)):
        with pytest.raises(InstanceDamaged):
            check(content[:at] + bytes([content[at] ^ 4]) + content[at + 1:])
    with pytest.raises(InstanceDamaged):
        check(content + b"x")
    for other in (replace(entry, slot=8), replace(entry, checksum=1), replace(entry, sop_instance_uid="1.2.4")):
        with pytest.raises(InstanceDamaged):
            check(content, other)


def test_files_are_checked_by_digest(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"text and more")
    with open(tmp_path / "f", "rb") as file:
        digest = digest_of(file.fileno(), 4)
        assert digest == "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"
        assert digest_of(file.fileno(), 100) == digest_of(file.fileno(), 13) != digest
        entry = ListedFile("f", 4, digest, 1)
        entry.check(file.fileno())
        with pytest.raises(InstanceDamaged):
            replace(entry, length=5).check(file.fileno())


def test_lines_are_json(folder: Folder, tmp_path: Path) -> None:
    lines = (tmp_path / written(folder, ENTRIES)).read_bytes().splitlines()
    assert len(lines) == 5 and [json.loads(line) for line in lines]
    assert os.stat(tmp_path / "m").st_mode & 0o777 == 0o600
