"""Thousands of associations of mixed good and bad traffic, and whether the server stays as small as it was.

After each round all clients are gone, and what the process then holds is read: its memory, descriptors and threads.
"""
from __future__ import annotations

import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dicomserver.standard.uids import EXPLICIT_VR_LE
from tests.hostile.objects import Identity, dataset, explicit, new_identity
from tests.hostile.peer import (
    ABORT, COMMAND, LAST, SECONDARY_CAPTURE, STORE, Peer, associate_rq, echo, p_data, pdv, rejected, storage_rq,
    store, store_command,
)
from tests.hostile.queries import answers, find, find_rq, identifier
from tests.hostile.server import Server, wait_until
from tests.interop.destination import Destination
from tests.interop.retriever import GET, MOVE, Retriever
from tests.ports import free_port

CLIENTS = 4
ROUNDS, WARM_UP = 11, 2         # rounds in all; so many of them come before the first reading
MOST_BYTES = 16 << 20           # by which the memory may grow: the page caches of the index fill up meanwhile
LOOKS = 20                      # for one reading: the connection that asked whether it is at rest ends meanwhile
SINK = "SOAKSINK"
BLOCKED = b"BLOCKED"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the process has at rest, after so many associations. memory: bytes of its own pages; files: descriptors
    that are no sockets, without those that are kept, up to a number of each: slots, folders, the index's connections.
    """

    associations: int
    memory: int
    sockets: int
    files: int
    threads: int


class Soak:
    """The server under fire, and what it owes. stored: acknowledged instances; conflicts: those of which it has
    set other bytes aside, the same ones once."""

    def __init__(self, folder: Path) -> None:
        self.sink_port = free_port()
        self.server = Server(folder, blockedCallingAETitles=[BLOCKED.decode()],
                             knownDestinations={SINK: {"host": "127.0.0.1", "port": self.sink_port}})
        self.port = self.server.port
        self.did: Counter[str] = Counter()
        self.stored = [new_identity()]
        self.conflicts: set[str] = set()
        self._lock = threading.Lock()
        with Peer(self.port) as peer:
            peer.associate().send(store(self.stored[0].instance, dataset(self.stored[0])))
            assert peer.status() == 0

    def some(self, dice: random.Random) -> Identity:
        """An instance that it has acknowledged."""
        with self._lock:
            return dice.choice(self.stored)

    def acknowledged(self, identity: Identity) -> None:
        with self._lock:
            self.stored.append(identity)

    def conflicted(self, identity: Identity) -> None:
        with self._lock:
            self.conflicts.add(identity.instance)

    def round(self, seed: int, associations: int) -> None:
        """Runs so many, on CLIENTS threads. Raises what one of them did not expect."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            each = associations // CLIENTS
            for done in [pool.submit(self._client, random.Random(f"{seed} {number}"), each)
                         for number in range(CLIENTS)]:
                self.did += done.result()

    def _client(self, dice: random.Random, associations: int) -> Counter[str]:
        did: Counter[str] = Counter()
        for name in dice.choices([*ACTS], k=associations):
            ACTS[name](self, dice)
            did[name] += 1
        return did

    def reading(self) -> Reading:
        """Waits until nothing is under way any more."""
        wait_until(lambda: not self.server.stats()["connectionsActive"], "associations do not come to their end", 120)
        looks = [time.sleep(0.01) or (self.server.sockets(), self._files(), self.server.threads())
                 for _ in range(LOOKS)]
        return Reading(self.did.total(), self.server.anonymous_memory(), *map(min, zip(*looks)))

    def _files(self) -> int:
        kept_open = tuple(f"{self.server.data}/{which}" for which in ("intake/", "dicom-server.db", *"0123456789"))
        return sum(not where.startswith(("socket:", *kept_open)) for where in self.server.descriptors())

    def close(self) -> None:
        """Stops the server."""
        self.server.stop()

    def check_kept(self) -> None:
        """Everything acknowledged has a row, and nothing else has one. Raises AssertionError."""
        stats = self.server.stats()
        kept = len(self.stored) + 1         # and the one that the server was warmed up with
        assert (stats["instances"], stats["quarantined"]) == (kept, len(self.conflicts))


# -- what a client may do --------------------------------------------------------------------------------------

@contextmanager
def associated(soak: Soak) -> Iterator[Peer]:
    """An accepted association for C-ECHO and C-STORE, released unless the block has ended it."""
    with Peer(soak.port) as peer:
        yield peer.associate()
        peer.release()


def echoes(soak: Soak, dice: random.Random) -> None:
    with associated(soak) as peer:
        for number in range(dice.randint(1, 5)):
            peer.send(echo(number))
            assert peer.status() == 0


def stores(soak: Soak, dice: random.Random) -> None:
    with associated(soak) as peer:
        for _ in range(dice.randint(1, 4)):
            identity = new_identity()
            peer.send(store(identity.instance, _image(identity, dice.randint(1, 60_000))))
            assert peer.status() == 0
            soak.acknowledged(identity)


def stores_again(soak: Soak, dice: random.Random) -> None:
    identity = soak.stored[0]
    with associated(soak) as peer:
        peer.send(store(identity.instance, dataset(identity)))
        assert peer.status() == 0


def stores_other_bytes(soak: Soak, dice: random.Random) -> None:
    identity = soak.some(dice)
    with associated(soak) as peer:
        peer.send(store(identity.instance, _image(identity, 70_000)))
        assert peer.status() & 0xF000 == 0xC000
        soak.conflicted(identity)


def finds(soak: Soak, dice: random.Random) -> None:
    with Peer(soak.port) as peer:
        peer.associate(find_rq())
        peer.send(find(identifier()))
        assert answers(peer)[1] == 0
        peer.release()


def gets(soak: Soak, dice: random.Random) -> None:
    with Retriever(soak.port, GET["study"], [(SECONDARY_CAPTURE, EXPLICIT_VR_LE)]) as asker:
        assert asker.get("STUDY", {"StudyInstanceUID": soak.some(dice).study}).outcome == (0, (None, 1, 0, 0))


def moves(soak: Soak, dice: random.Random) -> None:
    with Retriever(soak.port, MOVE["study"]) as asker:
        assert asker.move("STUDY", {"StudyInstanceUID": soak.some(dice).study}, SINK).outcome == (0, (None, 1, 0, 0))


def moves_nowhere(soak: Soak, dice: random.Random) -> None:
    with Retriever(soak.port, MOVE["study"]) as asker:
        assert asker.move("STUDY", {"StudyInstanceUID": soak.some(dice).study}, "NOWHERE").status == 0xA801


def goes_away(soak: Soak, dice: random.Random) -> None:
    """In the middle of a C-STORE: by A-ABORT, FIN or RST."""
    identity = new_identity()
    with Peer(soak.port) as peer:
        peer.associate()
        whole = store(identity.instance, _image(identity, dice.randint(1, 200_000)))
        peer.send(whole[:dice.randrange(1, len(whole) - 1)])
        dice.choice([lambda: peer.send(ABORT), peer.finish, peer.reset, lambda: None])()


def goes_away_from_a_query(soak: Soak, dice: random.Random) -> None:
    with Peer(soak.port) as peer:
        peer.associate(find_rq())
        peer.send(find(identifier()))
        dice.choice([lambda: peer.send(ABORT), peer.finish, peer.reset, peer.receive])()


def sends_half(soak: Soak, dice: random.Random) -> None:
    """Of an A-ASSOCIATE-RQ, or nothing at all."""
    with Peer(soak.port) as peer:
        whole = storage_rq()
        peer.send(whole[:dice.choice([0, 1, 6, len(whole) // 2, len(whole) - 1])])


def sends_garbage(soak: Soak, dice: random.Random) -> None:
    """Instead of an association, or on one."""
    with Peer(soak.port) as peer:
        if dice.randrange(2):
            peer.associate()
        peer.send(b"\xff" + dice.randbytes(dice.randint(5, 3000)))
        assert peer.outcome()[0] in ("aborted", "closed")


def sends_a_broken_dataset(soak: Soak, dice: random.Random) -> None:
    identity = new_identity()
    with associated(soak) as peer:
        peer.send(store(identity.instance, dataset(identity, tail=explicit(0x7FE00010, b"OW", b"\0\0", 5000))))
        assert peer.status() & 0xF000 == 0xC000


def sends_in_a_context_that_is_none(soak: Soak, dice: random.Random) -> None:
    with Peer(soak.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(77, COMMAND | LAST, store_command(new_identity().instance))))
        assert peer.outcome()[0] == "aborted"


def is_blocked(soak: Soak, dice: random.Random) -> None:
    with Peer(soak.port) as peer:
        peer.send(associate_rq(calling=BLOCKED))
        assert peer.outcome() == rejected(1, 1, 3)


def _image(identity: Identity, size: int) -> bytes:
    return dataset(identity, tail=explicit(0x7FE00010, b"OW", bytes(size + size % 2)))


ACTS: dict[str, Callable[[Soak, random.Random], None]] = {act.__name__: act for act in (
    echoes, stores, stores_again, stores_other_bytes, finds, gets, moves, moves_nowhere, goes_away,
    goes_away_from_a_query, sends_half, sends_garbage, sends_a_broken_dataset, sends_in_a_context_that_is_none,
    is_blocked)}


# -- the verdict -----------------------------------------------------------------------------------------------

def growth(readings: Sequence[Reading]) -> list[str]:
    """What grew, in words: the medians of the last third are compared with those of the first."""
    third = len(readings) // 3
    early, late = readings[:third], readings[-third:]
    associations = late[-1].associations - early[0].associations
    allowed = {"memory": MOST_BYTES, "sockets": 0, "files": 0, "threads": 0}
    found = []
    for what, most in allowed.items():
        before, after = (statistics.median(getattr(one, what) for one in part) for part in (early, late))
        if after - before > most:
            found.append(f"{what} grew from {before:.0f} to {after:.0f} in {associations} associations")
    return found


def soak(folder: Path, associations: int, say: Callable[[Reading], None] = lambda reading: None) -> Soak:
    """Runs so many associations. say: told each reading. Raises AssertionError where a client was not answered as it
    had to be, the server grew, or anything acknowledged is missing."""
    readings = []
    with closing(Soak(folder)) as tried, Destination(port=tried.sink_port):
        for number in range(ROUNDS):
            tried.round(number, associations // ROUNDS)
            reading = tried.reading()
            say(reading)
            readings.append(reading)
        tried.check_kept()
    grown = growth(readings[WARM_UP:])
    assert not grown, "; ".join(grown)
    return tried


def main(folder: Path, associations: int) -> int:
    """Prints the readings; -> the exit code."""
    print(f"{'associations':>12} {'memory MB':>10} {'sockets':>8} {'files':>8} {'threads':>8}")
    try:
        did = soak(folder, associations, _print).did
    except (AssertionError, OSError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    print(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in did.most_common()))
    return 0


def _print(reading: Reading) -> None:
    print(f"{reading.associations:12} {reading.memory / (1 << 20):10.1f} {reading.sockets:8} {reading.files:8} "
          f"{reading.threads:8}", flush=True)
