"""An object of more than 2^31 bytes: stored whole, in the memory that a small one takes."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pydicom
import xxhash

from tests.interop.installed import Installed
from tests.interop.sender import Sender
from tests.interop.stored import HEADER
from tests.interop.synthetic import CT, EXPLICIT, instance, pixel_header

SIZE = 2_200_000_000
HEAD = instance(1, 1, size=0).dataset.removesuffix(pixel_header(0)) + pixel_header(SIZE)
BLOCK = bytes(range(251)) * 4177        # its length is no divisor of anything: a shifted byte is seen
MOST_MEMORY = 120 << 20


def pieces() -> Iterator[bytes]:
    """The dataset; no more than a megabyte of it at a time."""
    yield HEAD
    for _ in range(SIZE // len(BLOCK)):
        yield BLOCK
    yield BLOCK[:SIZE % len(BLOCK)]


def test_an_object_of_more_than_two_gibibytes(install: Callable[..., Installed]) -> None:
    server = install(maxPDUSize=131072).start()
    sent, most, over = xxhash.xxh3_64(), [server.memory()], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            most.append(server.memory())

    def counted() -> Iterator[bytes]:
        for piece in pieces():
            sent.update(piece)
            yield piece

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with Sender(server.port, [(CT, [EXPLICIT])], pdu=131072, timeout=120) as association:
            one = instance(1, 1, size=0)
            assert association.store(1, CT, one.sop_instance, counted()).status == 0
    finally:
        over.set()
        watcher.join()
    assert max(most) < MOST_MEMORY
    (path,) = server.filed(1)
    try:
        read = pydicom.dcmread(path, defer_size=1024)
        assert (read.SOPInstanceUID, path.stat().st_mode & 0o777) == (one.sop_instance, 0o600)
        with path.open("rb") as file:
            file.seek(HEADER + 12 + int.from_bytes(file.read(144)[140:144], "little"))
            stored, length = xxhash.xxh3_64(), 0
            while chunk := file.read(1 << 20):
                stored.update(chunk)
                length += len(chunk)
        assert (length, stored.hexdigest()) == (len(HEAD) + SIZE, sent.hexdigest())
    finally:
        path.unlink()       # nobody wants to keep two gigabytes in the folder of past test runs
