"""Where a converted dataset is written to: a file without a name, gone when it is closed."""
from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType


@dataclass(slots=True)
class Scratch:
    """An empty file. most: bytes that it may grow to. length: of the dataset that is in it, from the begin on."""

    file: int
    most: int
    length: int = 0

    def close(self) -> None:
        """The file is gone; once."""
        os.close(self.file)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self.close()


# Makes one; raises OSError.
OpenScratch = Callable[[], Scratch]
