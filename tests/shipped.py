"""The files that pydicom brings along for tests. pydicom's own functions for them would download what is missing."""
from __future__ import annotations

from pathlib import Path

import pydicom.data

FOLDER = Path(pydicom.data.__file__).parent / "test_files"


def shipped(pattern: str = "*.dcm") -> list[Path]:
    """Those whose names match, in folders too, sorted; some are broken on purpose, some are no DICOM files."""
    return sorted(path for path in FOLDER.rglob(pattern) if path.is_file())
