"""The table of names in docs/CONFORMANCE.md, script by way of typing, asked of both databases over associations."""
from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.index import Index, open_index
from tests.house.tree import ROOT
from tests.index.emptied import emptied
from tests.index.samples import PATIENT_ID, PATIENT_NAME, make
from tests.interop.find.asker import Asker
from tests.interop.find.keys import Keys
from tests.interop.find.oracle import PATIENT_ROOT
from tests.services.conftest import Provider

HEADING, IN_LATIN, SOUNDS = "How a name may be typed", "in Latin letters", "sounds like"
UTF_8 = b"ISO_IR 192"
FUZZY = b"\0\0\1"
# (0008,0005), what the bytes are; the first is right, the others lie.
WRITTEN = ((UTF_8, "utf_8"), (b"ISO_IR 100", "utf_8"), (b"", "utf_8"), (b"ISO_IR 100", "cp1252"), (b"", "cp1252"))
OWN = {"Ελ": (b"ISO_IR 126", "iso8859_7"), "Ко": (b"ISO_IR 144", "iso8859_5"), "Dv": (b"ISO_IR 101", "iso8859_2"),
       "Ça": (b"ISO_IR 148", "iso8859_9"), "Ya": (b"", "shift_jis"), "ﾔﾏ": (b"ISO_IR 100", "shift_jis"),
       "שר": (b"ISO_IR 138", "iso8859_8"), "أح": (b"ISO_IR 127", "iso8859_6"), "นา": (b"ISO_IR 166", "tis_620")}


def table() -> tuple[list[str], list[list[str]]]:
    """The headings and the rows."""
    text = (ROOT / "docs" / "CONFORMANCE.md").read_text().partition(HEADING)[2]
    lines = [line for line in text.partition("\n#")[0].splitlines() if line.startswith("|")]
    headings, _, *rows = [[html.unescape(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    return headings, rows


HEADINGS, ROWS = table()
NAMES = [row[0] for row in ROWS]


def typed(row: Sequence[str], heading: str) -> list[str]:
    """What a cell says."""
    return re.split(", *", row[HEADINGS.index(heading)].strip("–")) if row[HEADINGS.index(heading)] != "–" else []


def writings(name: str) -> list[tuple[bytes, bytes]]:
    """The name's bytes in each way, right or wrong, to say it."""
    ways = [*WRITTEN, OWN.get(name[:2], WRITTEN[0])]
    found = {(declared, name.encode(codec, "replace")): codec for declared, codec in ways}
    return [key for key, codec in found.items() if key[1].decode(codec) == name]


def fill(index: Index) -> None:
    """Study 1.2.<row>.<writing>, each of a patient of its own."""
    for row, name in enumerate(NAMES):
        for number, (declared, raw) in enumerate(writings(name)):
            study = f"1.2.{row}.{number}"
            index.add(make(1, study=study, slot=100 * row + number + 1, character_set=declared, patient={
                PATIENT_NAME: raw, PATIENT_ID: f"R{row}-{number}".encode()},
                of_study={0x0020000D: study.encode(), 0x00080090: raw}))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("names")
    is_sqlite = request.param == "sqlite"
    index = open_index(f"sqlite://{folder}/index.db" if is_sqlite else emptied(request.getfixturevalue("postgres")))
    fill(index)
    archive = Archive(folder / "data")
    provider = Provider(archive, index)
    yield provider.port
    provider.close()
    index.close()
    archive.close()


def rows_found(asker: Asker, keys: Keys) -> list[str]:
    """The names whose every writing was found. Of a row that was found in part, the row's number."""
    answer = asker.find("STUDY", {"SpecificCharacterSet": "ISO_IR 192", "StudyInstanceUID": "", **keys})
    assert answer.status == 0
    found = [uid.split(".")[2:] for uid, in answer.values("StudyInstanceUID")]
    rows = sorted({int(row) for row, _ in found})
    whole = {row: sum(one == str(row) for one, _ in found) == len(writings(NAMES[row])) for row in rows}
    return [NAMES[row] if whole[row] else f"some of row {row}" for row in rows]


def test_the_table_is_the_one() -> None:
    assert HEADINGS == ["stored", "other case", "without marks", "another form of the letters", IN_LATIN, "a part",
                        SOUNDS]
    assert len(ROWS) >= 19 and all(len(row) == len(HEADINGS) for row in ROWS)
    assert sum(len(typed(row, heading)) for row in ROWS for heading in HEADINGS) > 100
    assert sum(map(len, map(writings, NAMES))) >= 70


@pytest.mark.parametrize("heading", HEADINGS[:-1])
def test_found_however_it_is_typed(port: int, heading: str) -> None:
    with Asker(port, called="US") as asker:
        for row in ROWS:
            for name in typed(row, heading):
                assert rows_found(asker, {"PatientName": name}) == [row[0]], (heading, name)


def test_so_are_physicians(port: int) -> None:
    with Asker(port, called="US") as asker:
        for row in ROWS:
            for name in typed(row, IN_LATIN):
                assert rows_found(asker, {"ReferringPhysicianName": name}) == [row[0]], name


def test_found_by_what_it_sounds_like_where_that_was_negotiated(port: int) -> None:
    asked = [(row[0], name) for row in ROWS for name in typed(row, SOUNDS)]
    with Asker(port, called="US") as plain:
        assert [name for _, name in asked if rows_found(plain, {"PatientName": name})] == []
    with Asker(port, called="US", negotiated=FUZZY) as fuzzy:
        assert fuzzy.extended[fuzzy.model] == FUZZY
        for keyword in ("PatientName", "ReferringPhysicianName"):
            assert [name for stored, name in asked if stored not in rows_found(fuzzy, {keyword: name})] == []


def test_patients_are_found_alike(port: int) -> None:
    with Asker(port, PATIENT_ROOT, called="US", negotiated=FUZZY) as fuzzy:
        for row in ROWS:
            for name in typed(row, IN_LATIN) + typed(row, SOUNDS):
                answer = fuzzy.find("PATIENT", {"SpecificCharacterSet": "ISO_IR 192", "PatientName": name,
                                                "PatientID": ""})
                wanted = {f"R{NAMES.index(row[0])}-{number}" for number in range(len(writings(row[0])))}
                assert wanted <= {found for found, in answer.values("PatientID")}, name


@pytest.mark.parametrize("declared, raw", [
    ("ISO_IR 100", "Müller^Jörg".encode()), ("", "Müller^Jörg".encode()), ("", "Müller^Jörg".encode("latin_1")),
    ("ISO_IR 100", "Müller^Jörg".encode("cp1252"))])
def test_a_key_under_a_wrong_name(port: int, declared: str, raw: bytes) -> None:
    with Asker(port, called="US") as asker:
        assert rows_found(asker, {"SpecificCharacterSet": declared, "PatientName": raw}) == ["Müller^Jörg"]
    if declared == "ISO_IR 100":
        with Asker(port, called="US") as asker:
            key = "山田^太郎".encode("shift_jis")
            found = rows_found(asker, {"SpecificCharacterSet": declared, "PatientName": key})
        assert found == ["Yamada^Tarou=山田^太郎=やまだ^たろう"]


def test_the_answer_says_the_name_as_it_was_meant(port: int) -> None:
    with Asker(port, called="US") as asker:
        answer = asker.find("STUDY", {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^J*"})
    assert {str(match.PatientName) for match in answer.matches} == {"Müller^Jörg"} and len(answer.matches) > 3
