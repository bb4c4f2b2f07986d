"""Adds until the disk fails; says how many were durable, what failed, what then, what it still finds."""
from __future__ import annotations

import itertools
import sys

from dicomserver.index import IndexFault, open_index
from tests.index.samples import make


def run(url: str) -> None:
    """The test makes the disk fail after some two hundred calls."""
    index = open_index(url)
    durable = 0
    try:
        for number in itertools.count(1):
            index.add(make(number))
            index.make_durable()
            durable = number
    except IndexFault as fault:
        print(durable)
        print(type(fault).__name__, fault)
    try:
        index.add(make(durable + 2))
    except IndexFault as fault:
        print(type(fault).__name__, fault)
    print(index.find("1.2.3.1.1").slot)


if __name__ == "__main__":
    run(sys.argv[1])
