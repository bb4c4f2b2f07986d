"""What is sent of an instance: its dataset as it is, or converted without loss for a peer that takes no other."""
from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from dicomserver.scu.store import ContextRefused, Instance
from dicomserver.transcoding.choice import choose
from dicomserver.transcoding.conversion import convert
from dicomserver.transcoding.scratch import Scratch


@contextmanager
def fitting(instance: Instance, file: int, offset: int, length: int,
            taken: Sequence[str]) -> Iterator[tuple[Instance, int, int, int]]:
    """What to send of the dataset that is `length` bytes of an open file, and where it is; good until the block ends.

    taken: the transfer syntaxes that the peer accepts of its SOP class. Raises ContextRefused where it cannot be had in
    any of them without loss; ConversionFailed, OSError.
    """
    syntax = choose(instance.transfer_syntax_uid, taken)
    if syntax is None:
        raise ContextRefused(taken)
    if syntax == instance.transfer_syntax_uid:
        yield instance, file, offset, length
        return
    with convert(file, offset, length, instance.transfer_syntax_uid, syntax, _scratch) as scratch:
        yield replace(instance, transfer_syntax_uid=syntax), scratch.file, 0, scratch.length


def _scratch() -> Scratch:
    with tempfile.TemporaryFile() as file:
        return Scratch(os.dup(file.fileno()), shutil.disk_usage(tempfile.gettempdir()).free)
