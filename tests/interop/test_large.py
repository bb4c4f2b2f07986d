"""An object of more than 2^31 bytes: stored whole and handed out whole, in the memory that a small one takes."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pydicom
import xxhash

from tests.interop.destination import Destination
from tests.interop.installed import Installed, free_port
from tests.interop.retriever import GET, MOVE, Retriever
from tests.interop.sender import Sender
from tests.interop.stored import HEADER
from tests.interop.synthetic import CT, EXPLICIT, instance, pixel_header

SIZE = 2_200_000_000
HEAD = instance(1, 1, size=0).dataset.removesuffix(pixel_header(0)) + pixel_header(SIZE)
BLOCK = bytes(range(251)) * 4177        # its length is no divisor of anything: a shifted byte is seen
MOST_MEMORY = 120 << 20
PDU = 131072
KEYS = {"StudyInstanceUID": instance(1, 1).study}


def pieces() -> Iterator[bytes]:
    """The dataset; no more than a megabyte of it at a time."""
    yield HEAD
    for _ in range(SIZE // len(BLOCK)):
        yield BLOCK
    yield BLOCK[:SIZE % len(BLOCK)]


@contextmanager
def in_little_memory(server: Installed) -> Iterator[None]:
    """The server's own memory stays small while the block runs."""
    most, over = [server.memory()], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            most.append(server.memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert max(most) < MOST_MEMORY


def check_file(path: Path, digest: str) -> None:
    read = pydicom.dcmread(path, defer_size=1024)
    assert (read.SOPInstanceUID, path.stat().st_mode & 0o777) == (instance(1, 1).sop_instance, 0o600)
    with path.open("rb") as file:
        file.seek(HEADER + 12 + int.from_bytes(file.read(144)[140:144], "little"))
        stored, length = xxhash.xxh3_64(), 0
        while chunk := file.read(1 << 20):
            stored.update(chunk)
            length += len(chunk)
    assert (length, stored.hexdigest()) == (len(HEAD) + SIZE, digest)


def got(port: int) -> str:
    """By C-GET; -> the digest of what came."""
    digest = xxhash.xxh3_64()
    with Retriever(port, GET["study"], [(CT, EXPLICIT)], pdu=PDU, timeout=120, on_fragment=digest.update) as asker:
        assert asker.get("STUDY", KEYS).outcome == (0, (None, 1, 0, 0))
    return digest.hexdigest()


def moved(port: int, name: str, there: int) -> str:
    """By C-MOVE; -> the digest of what came there."""
    digest = xxhash.xxh3_64()
    with Destination(port=there, maximum=PDU, on_fragment=digest.update):
        with Retriever(port, MOVE["study"], timeout=120) as asker:
            assert asker.move("STUDY", KEYS, name).outcome == (0, (None, 1, 0, 0))
    return digest.hexdigest()


def test_an_object_of_more_than_two_gibibytes(install: Callable[..., Installed]) -> None:
    """Received once, then retrieved four times side by side."""
    there = {name: free_port() for name in ("ONE", "TWO")}
    server = install(maxPDUSize=PDU, knownDestinations={
        name: {"host": "127.0.0.1", "port": port} for name, port in there.items()}).start()
    sent = xxhash.xxh3_64()

    def counted() -> Iterator[bytes]:
        for piece in pieces():
            sent.update(piece)
            yield piece

    with in_little_memory(server), Sender(server.port, [(CT, [EXPLICIT])], pdu=PDU, timeout=120) as association:
        assert association.store(1, CT, instance(1, 1).sop_instance, counted()).status == 0
    (path,) = server.filed(1)
    with ExitStack() as last:
        last.callback(path.unlink)      # nobody wants to keep two gigabytes in the folder of past test runs
        check_file(path, sent.hexdigest())
        with in_little_memory(server), ThreadPoolExecutor(4) as pool:
            several = [pool.submit(got, server.port) for _ in range(2)]
            several += [pool.submit(moved, server.port, name, port) for name, port in there.items()]
            assert [one.result() for one in several] == [sent.hexdigest()] * 4
