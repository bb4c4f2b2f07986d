"""Associations that begin and break off, thousands of them: `python -m tests.hostile.cycles --count 10000`."""
from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.hostile.objects import dataset, new_identity
from tests.hostile.peer import ABORT, COMMAND, DATASET, LAST, STORE, Peer, echo, p_data, pdv, store_command, storage_rq
from tests.hostile.server import Server

_DATA = dataset(new_identity())
_HALF = (p_data(pdv(STORE, COMMAND | LAST, store_command("1.2.826.0.1.3680043.10.1717.6")))
         + p_data(pdv(STORE, DATASET, _DATA[:200])))
WAYS = (ABORT, b"", echo() + ABORT, _HALF + ABORT, _HALF, b"\xff" * 10)


def cycle(port: int, number: int) -> None:
    """One association of the kind that its number says, given up without a word or with A-ABORT, by FIN or RST."""
    with Peer(port) as peer:
        peer.associate(storage_rq())
        peer.send(WAYS[number % len(WAYS)])
        if number % 2:
            peer.reset()


def main() -> None:
    """Runs so many cycles and looks after every thousand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        for begin in range(0, count, 1000):
            server.begin_case()
            for number in range(begin, min(begin + 1000, count)):
                cycle(server.port, number)
            server.others_are_served()
            server.check(bool)
            print(f"{begin + 1000}: {server.anonymous_memory() >> 10} kB, {len(server.descriptors())} descriptors, "
                  f"{server.threads()} threads")
        server.stop()


if __name__ == "__main__":
    main()
