from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dicomserver.transcoding.conversion import convert
from dicomserver.transcoding.errors import ConversionFailed
from tests.house.tree import ROOT
from tests.transcoding.datasets import DEFLATED, EXPLICIT, IMPLICIT, converted, of_file, open_scratch

PAPYRUS, MPEG4 = "1.2.840.10008.1.20", "1.2.840.10008.1.2.4.102"


@pytest.mark.parametrize(("stored", "wanted"), [(EXPLICIT, EXPLICIT), (EXPLICIT, MPEG4), (PAPYRUS, IMPLICIT),
                                                (MPEG4, EXPLICIT), (EXPLICIT, "1.2.3")])
def test_what_has_no_conversion(stored: str, wanted: str) -> None:
    with pytest.raises(ConversionFailed, match="no conversion between"):
        converted(b"", stored, wanted)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_no_scratch_is_left_but_the_result() -> None:
    syntax, dataset = of_file("MR_small_bigendian.dcm")
    before = descriptors()
    with open_scratch() as source:
        os.pwrite(source.file, dataset, 0)
        with convert(source.file, 0, len(dataset), syntax, DEFLATED, open_scratch) as scratch:
            assert descriptors() == before + 2
            assert os.fstat(scratch.file).st_size == scratch.length
        with pytest.raises(ConversionFailed):
            convert(source.file, 0, len(dataset) - 1, syntax, DEFLATED, open_scratch)
        with pytest.raises(ConversionFailed, match="no room"):
            convert(source.file, 0, len(dataset), syntax, EXPLICIT, lambda: open_scratch(100))
    assert descriptors() == before


MEMORY = """
import os, resource, sys
from dicomserver.transcoding.conversion import convert
from tests.transcoding.datasets import open_scratch
from tests.transcoding.test_rewriter import explicit
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_scratch() as source:
    length = os.write(source.file, explicit(0x00280100, "US", b"\\x10\\0") + explicit(0x7FE00010, "OW", b"", 200 << 20))
    os.truncate(source.file, length + (200 << 20))
    stored, before = "1.2.840.10008.1.2.1", None
    for wanted in "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99":
        before = before or peak()
        with convert(source.file, 0, length + (200 << 20), stored, wanted, open_scratch) as made:
            with convert(made.file, 0, made.length, wanted, stored, open_scratch) as back:
                assert back.length == length + (200 << 20), (wanted, back.length)
    print(peak() - before)
"""


def test_memory_stays_flat() -> None:
    """200 MB there and back; a process of its own, as its peak is looked at."""
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 8 << 10       # KB
