"""Adds instances for ever and says each number once it is in; a test kills this process."""
from __future__ import annotations

import itertools
import os
import sys
import threading

from dicomserver.index import open_index
from tests.index.samples import make


def run(url: str) -> None:
    """Four threads of their own series each, and one that moves."""
    index = open_index(url)

    def add(thread: int) -> None:
        for number in itertools.count(1):
            index.add(make(number, study=f"1.{number // 10}", series=f"1.{number // 10}.{thread}"))
            os.write(1, f"1.{number // 10}.{thread}.{number}\n".encode())

    for thread in range(1, 5):
        threading.Thread(target=add, args=(thread,)).start()
    while True:
        index.make_durable()
        index.checkpoint()


if __name__ == "__main__":
    run(sys.argv[1])
