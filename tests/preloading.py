"""Libraries of C that are preloaded into a program under test."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path


def compiled(source: Path, folder: Path) -> Path:
    """The library that `source` becomes, in `folder`; made once."""
    library = folder / f"{source.stem}.so"
    if not library.exists():
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o",
                        library, source, "-ldl"], check=True)
    return library
