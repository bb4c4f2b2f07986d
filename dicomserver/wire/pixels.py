"""What a dataset declares of its pixels, against what it has (PS3.3 C.7.6.3)."""
from __future__ import annotations

from dicomserver.wire.scanner import DatasetScanner

FLOAT_PIXEL_DATA = 0x7FE00008       # the first of the three attributes that hold pixels


def pixel_data_short(scanner: DatasetScanner) -> bool:
    """Whether the scanned dataset has native Pixel Data of fewer bytes than Rows, Columns and the rest declare.

    What cannot be read counts as not declared: a flag is a hint for people, never a reason to refuse.
    """
    if not scanner.values.native_pixels:
        return False
    samples, photometric, frames, rows, columns, bits = scanner.values.declared_pixels
    try:
        number_of_frames = max(int(frames or 1), 1)
    except ValueError:
        return False
    declared = rows * columns * (samples or 1) * number_of_frames * bits
    shared = {b"_422": (2, 3), b"_420": (1, 2)}.get((photometric or b"").rstrip(b" \0")[-4:])
    if shared:      # neighbouring pixels share chrominance
        declared = declared * shared[0] // shared[1]
    return scanner.values.pixel_length < (declared + 7) // 8


def pixel_data_missing(scanner: DatasetScanner) -> bool:
    """Whether the dataset declares Rows and Columns, and ends in front of where its pixels would be.

    Those that are to be had elsewhere (JPIP, PS3.5 A.6) are missing, too.
    """
    *_, rows, columns, _ = scanner.values.declared_pixels
    return bool(rows and columns) and not scanner.inflation_capped and (scanner.element or 0) < FLOAT_PIXEL_DATA
