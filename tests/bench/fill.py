"""`python -m tests.bench.fill`: fills an index with many plausible studies, without any files behind it."""
from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice, starmap
from multiprocessing.connection import Connection
from operator import attrgetter

from tqdm import tqdm

from dicomserver.index import Index, IndexFault, Instance, begin_copy, open_index, open_source, open_target, run_pass
from tests.bench.content import entries
from tests.bench.population import INSTANCES, studies

BATCH = 500         # instances


def fill(index: Index, number: int, seed: int = 1, progress: Callable[[int], None] = lambda many: None) -> int:
    """Adds the first `number` studies of a seed and declares the index complete; -> how many instances were new.

    progress: hears how many more have been made.
    """
    added = index.add_many(_made_beside(number, seed, progress))
    index.mark_complete()
    return added


def instances(number: int, seed: int = 1) -> Iterator[Instance]:
    """The index entries of the first `number` studies."""
    for study in studies(number, seed):
        yield from entries(study)


def fill_new(url: str, number: int, seed: int = 1, progress: Callable[[int], None] = lambda many: None) -> int:
    """The same for the index at `url`. One in PostgreSQL has to be empty and gets a copy of one that is filled in a
    file: many times as fast as instance by instance. Raises IndexFault."""
    with tempfile.TemporaryDirectory() as folder:
        first = f"sqlite://{folder}/index.db" if url.startswith("postgres") else url
        with closing(open_index(first)) as index:
            added = fill(index, number, seed, progress)
        if first != url:
            _copy(first, url)
    return added


def _copy(first: str, url: str) -> None:
    with closing(open_source(first)) as source, closing(open_target(url)) as target:
        begin_copy(target, source, replace=False)
        run_pass(source, target, lambda done, total: None)
        target.finish()


def _made_beside(number: int, seed: int, progress: Callable[[int], None]) -> Iterator[Instance]:
    """The same, made by a process of its own while this one adds them: a quarter of the time."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    maker = context.Process(target=_make, args=(theirs, number, seed), daemon=True)
    maker.start()
    theirs.close()      # so that the end of a maker that died is seen here
    try:
        while batch := ours.recv():
            progress(len(batch))
            yield from starmap(Instance, batch)
    finally:
        ours.close()
        maker.join()


def _make(pipe: Connection, number: int, seed: int) -> None:
    """Runs in that process; tuples, as they travel several times as fast. The end is an empty batch."""
    made = map(attrgetter(*Instance.__dataclass_fields__), instances(number, seed))
    try:
        while batch := list(islice(made, BATCH)):
            pipe.send(batch)
        pipe.send([])
    except BrokenPipeError:
        pass            # the other side has given up, and knows why


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    made = argparse.ArgumentParser(
        prog="python -m tests.bench.fill",
        description="Fills an index with plausible studies: names in several scripts, ten years of dates, five images\n"
                    "a study. There are no files behind it: a server on it answers queries and nothing else.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--studies", type=int, default=100_000, metavar="N", help="default: 100000")
    made.add_argument("--seed", type=int, default=1, metavar="N", help="another one, other studies (default: 1)")
    made.add_argument("url", metavar="URL", help="of the index, as in sqlite:///var/lib/index.db")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Fills the index; -> the exit code."""
    options = parser().parse_args(arguments)
    begun = time.monotonic()
    try:
        with tqdm(total=options.studies * INSTANCES, unit=" instances", disable=None) as progress:
            added = fill_new(options.url, options.studies, options.seed, progress.update)
    except IndexFault as fault:
        print(fault, file=sys.stderr)
        return 1
    seconds = time.monotonic() - begun
    print(f"{added} instances of {options.studies} studies, {added / seconds:.0f}/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
