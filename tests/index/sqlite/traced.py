"""Runs under strace: says on stderr what begins, so that the trace tells the steps apart."""
from __future__ import annotations

import os
import sys

from dicomserver.index import open_index, rebuild_index
from dicomserver.index.sqlite import engine
from tests.index.samples import make
from tests.index.transferring import move

SECTIONS = ("open", "first", "adds", "durable", "adds again", "checkpoint", "adds after checkpoint",
            "durable after checkpoint", "remove", "complete", "close", "rebuild", "copy", "end")


def begin(section: str) -> None:
    """One write that the trace shows."""
    os.write(2, f"[{section}]".encode())


def run(url: str) -> None:
    """Every section once."""
    engine.CHECKPOINT_PAGES = 1
    begin("open")
    index = open_index(url)
    begin("first")
    index.add(make(1))
    begin("adds")
    for number in range(2, 20):
        index.add(make(number))
        index.find(f"1.2.3.1.{number}")
    begin("durable")
    index.make_durable()
    begin("adds again")
    index.add(make(20))
    begin("checkpoint")
    index.checkpoint()
    begin("adds after checkpoint")
    index.add(make(21))
    begin("durable after checkpoint")
    index.make_durable()
    begin("remove")
    index.remove(["1.2.3.1.21", "1.2.3.1.1"], [21, 1])
    begin("complete")
    index.mark_complete()
    begin("close")
    index.close()
    begin("rebuild")
    with rebuild_index(url) as index:
        index.add(make(1))
    begin("copy")
    move(url, url.replace("index.db", "copy.db"))
    begin("end")


if __name__ == "__main__":
    run(sys.argv[1])
