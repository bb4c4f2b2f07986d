from __future__ import annotations

import codecs
import subprocess
import sys

import pytest
from pydicom import charset

from dicomserver.index.character_sets import ENCODINGS, ESCAPES, STAND_ALONE, defined_term

MISSPELT = {"ISO 2022 GBK": "GBK", "ISO 2022 58": "ISO 2022 IR 58"}  # pydicom's table has them as if they were terms
LATIN_9 = {"ISO_IR 203", "ISO 2022 IR 203"}  # which pydicom lacks


def test_the_tables_are_pydicoms() -> None:
    assert ENCODINGS.keys() - LATIN_9 == charset.python_encoding.keys() - MISSPELT.keys() - LATIN_9
    for term, encoding in charset.python_encoding.items():
        assert codecs.lookup(ENCODINGS[defined_term(term.encode())]) == codecs.lookup(encoding)
    assert {**charset.CODES_TO_ENCODINGS, b"\x1b-b": "iso8859_15"} == ESCAPES
    assert {ENCODINGS[term] for term in charset.STAND_ALONE_ENCODINGS} == STAND_ALONE


@pytest.mark.parametrize("term", ENCODINGS)
def test_knows_every_defined_term(term: str) -> None:
    for spelling in (term, term.lower(), term + " ", term + "\0", f" {term}", term.replace(" ", "-"),
                     term.replace(" ", "_"), term.replace("_", " "), term.replace(" ", "")):
        assert defined_term(spelling.encode()) == term


@pytest.mark.parametrize(("written", "meant"), [
    *MISSPELT.items(), ("ISO_IR 87", "ISO 2022 IR 87"), ("ISO_IR 149", "ISO 2022 IR 149"), ("UTF-8", "ISO_IR 192"),
    ("ISO-8859-1", "ISO_IR 100"), ("ISO8859-15", "ISO_IR 203"), ("ISO 2022 IR 192", None), ("UNKNOWN", None),
    ("ISO_IR 1000", None), ("ISO_IR", None),
])
def test_knows_what_a_misspelt_term_means(written: str, meant: str | None) -> None:
    assert defined_term(written.encode()) == meant


def test_the_index_does_without_importing_pydicom() -> None:
    code = "import sys, dicomserver.index, dicomserver.index.representing; sys.exit('pydicom' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
