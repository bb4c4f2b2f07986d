from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive.checksum import checksum_file
from dicomserver.archive.errors import InstanceDamaged
from dicomserver.services.outgoing import NotSent, Outgoing
from tests.interop.sender import Sender
from tests.interop.synthetic import CT, EXPLICIT, instance
from tests.transcoding.datasets import BIG_ENDIAN, IMPLICIT, converted

JPEG_2000 = "1.2.840.10008.1.2.4.90"


@pytest.fixture
def outgoing(provider) -> Iterator[Outgoing]:
    sent = instance(1, 1)
    with Sender(provider.port, [(CT, [EXPLICIT])]) as association:
        assert association.store(1, CT, sent.sop_instance, sent.dataset).status == 0
    row = provider.index.find(sent.sop_instance)
    file = provider.archive.open_instance(row.slot, row.study_instance_uid, row.series_instance_uid,
                                          row.sop_instance_uid)
    yield Outgoing(row, file, provider.archive)
    os.close(file)


def test_as_it_is_stored(outgoing: Outgoing) -> None:
    with outgoing.dataset({IMPLICIT, EXPLICIT}) as dataset:
        assert (dataset.transfer_syntax_uid, dataset.file) == (EXPLICIT, outgoing.file)
        assert os.pread(dataset.file, dataset.length, dataset.offset) == instance(1, 1).dataset
        assert dataset.checksum == outgoing.stored.checksum


def test_converted(outgoing: Outgoing) -> None:
    with outgoing.dataset({BIG_ENDIAN, IMPLICIT}) as dataset:
        assert (dataset.transfer_syntax_uid, dataset.offset) == (IMPLICIT, 0)
        expected = converted(instance(1, 1).dataset, EXPLICIT, IMPLICIT)
        assert os.pread(dataset.file, dataset.length + 1, 0) == expected
        assert dataset.checksum == checksum_file(dataset.file, 0, dataset.length)
        file = dataset.file
    with pytest.raises(OSError):
        os.fstat(file)


def test_no_syntax_will_do(outgoing: Outgoing) -> None:
    with pytest.raises(NotSent, match="Explicit VR Little Endian cannot be converted without loss"):
        with outgoing.dataset({JPEG_2000}):
            pass


def test_no_room_for_the_conversion(outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch) -> None:
    open_scratch = outgoing.archive.open_scratch
    monkeypatch.setattr(outgoing.archive, "open_scratch", lambda: (open_scratch()[0], 10))
    with pytest.raises(NotSent, match="to Implicit VR Little Endian.*no room on the disk"):
        with outgoing.dataset({IMPLICIT}):
            pass


def test_damaged_bytes_get_no_new_checksum(outgoing: Outgoing) -> None:
    (path,) = (path for path in Path(outgoing.archive.path, "intake").iterdir() if path.stat().st_size)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xaa")
    with pytest.raises(InstanceDamaged, match="changed"):
        with outgoing.dataset({IMPLICIT}):
            pass
