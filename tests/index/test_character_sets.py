from __future__ import annotations

import subprocess
import sys

from pydicom import charset

from dicomserver.index.character_sets import ENCODINGS, ESCAPES


def test_the_tables_are_pydicoms() -> None:
    assert ENCODINGS == charset.python_encoding
    assert ESCAPES == charset.CODES_TO_ENCODINGS


def test_the_index_does_without_importing_pydicom() -> None:
    code = "import sys, dicomserver.index; sys.exit('pydicom' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
