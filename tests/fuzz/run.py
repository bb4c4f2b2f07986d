"""The fuzzer: `python -m tests.fuzz.run --seconds 600 [target…]`, from the top folder; no target means all.

Each target runs in a process of its own with little memory to spare and a deadline for each input. What it is reading
stands in a file that outlives it: when it dies, raises what it must not, or does not come back, that input is kept in
build/fuzz/, and `--replay FILE target` reads it once more. Exits with 1 if there was a finding.
"""
from __future__ import annotations

import argparse
import importlib
import mmap
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.fuzz.mutation import mutant
from tests.fuzz.targets import TARGETS, Target

ROOT = Path(__file__).resolve().parent.parent.parent
SPARE_MEMORY = 128 << 20        # what one process may take beyond what it has when it begins
BATCH = 64                      # inputs that share a deadline
BLACK_BOX = 1 << 22             # bytes: length of the input (4), the input


def find(name: str) -> Target:
    """A registered target, or any by `module:name`."""
    if name in TARGETS:
        return TARGETS[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        raise SystemExit(f"no target {name}; there are {', '.join(TARGETS)}")
    return getattr(importlib.import_module(module), attribute)


def cap_memory() -> None:
    """An allocation by a length that a peer sent fails at once. Not under ASan, which reserves terabytes."""
    if "libasan" in Path("/proc/self/maps").read_text():
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + SPARE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def inputs(target: Target, seed: int, iterations: int, seconds: float, deadline: int) -> Iterator[bytes]:
    """The corpus itself, then mutants until both limits are reached, in batches of which each has a deadline."""
    random = Random(seed)
    end = time.monotonic() + seconds
    # Without a handler the signal ends the process, even within compiled code.
    signal.alarm(deadline)
    yield from target.corpus
    done = 0
    while done < iterations or time.monotonic() < end:
        signal.alarm(deadline)
        for _ in range(BATCH):
            yield mutant(random, target.corpus)
        done += BATCH
    signal.alarm(0)
    print(f"{done} inputs, seed {seed}")


def fuzz(target: Target, black_box: Path, feed: Iterator[bytes]) -> None:
    """Feeds the target in this process; returns if there was no finding."""
    with black_box.open("r+b") as file, mmap.mmap(file.fileno(), BLACK_BOX) as recorder:
        cap_memory()
        for data in feed:
            recorder[:4 + len(data)] = struct.pack("<I", len(data)) + data
            try:
                target.run(data)
            except target.allowed:
                continue


def supervise(name: str, seed: int, limits: list[str]) -> bool:
    """Runs a target in a process of its own; -> whether there was no finding."""
    with tempfile.NamedTemporaryFile(prefix="fuzz-") as black_box:
        black_box.truncate(BLACK_BOX)
        child = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.run", name, "--child", black_box.name, "--seed", str(seed), *limits],
            cwd=ROOT, capture_output=True, text=True)
        if child.returncode == 0:
            print(f"{name}: {child.stdout.strip()}, no finding")
            return True
        content = Path(black_box.name).read_bytes()
    data = content[4:4 + struct.unpack_from("<I", content)[0]]
    keep = ROOT / "build" / "fuzz" / f"{name.replace(':', '.')}-{seed}.bin"
    keep.parent.mkdir(parents=True, exist_ok=True)
    keep.write_bytes(data)
    how = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit {child.returncode}"
    print(f"{name}: FINDING ({how}), input of {len(data)} bytes kept as {keep.relative_to(ROOT)}")
    print(child.stderr.strip())
    return False


def main(arguments: list[str] | None = None) -> int:
    """The command line; -> the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description="Fuzzes the decoders.")
    parser.add_argument("targets", nargs="*", metavar="target", help=f"of {', '.join(TARGETS)}; all if none is named")
    parser.add_argument("--seconds", type=float, default=0, help="how long, shared by the targets; default 60")
    parser.add_argument("--iterations", type=int, default=0, help="at least so many inputs for each target")
    parser.add_argument("--deadline", type=int, default=10, help=f"seconds for {BATCH} inputs: milliseconds are usual")
    parser.add_argument("--seed", type=int, default=None, help="of the inputs; another one each time if not said")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="read one input, once")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = options.targets or list(TARGETS)
    if not (options.seconds or options.iterations):
        options.seconds = 60
    seed = time.time_ns() % 1_000_000 if options.seed is None else options.seed
    if options.replay:
        find(*names).run(options.replay.read_bytes())
        return 0
    if options.child:
        target = find(*names)
        fuzz(target, options.child, inputs(target, seed, options.iterations, options.seconds, options.deadline))
        return 0
    for name in names:
        find(name)
    limits = ["--iterations", str(options.iterations), "--seconds", str(options.seconds / len(names)),
              "--deadline", str(options.deadline)]
    clean = [supervise(name, seed, limits) for name in names]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
