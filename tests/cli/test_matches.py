import csv
import io
import json

import pytest

from dicomserver.cli.matches import FORMATS, Column
from dicomserver.scu.identifier import Values

COLUMNS = [Column("PatientName", 0x00100010, "PN", "Patient", False), Column("PatientID", 0x00100020, "LO", "", False),
           Column("ModalitiesInStudy", 0x00080061, "CS", "Mod", True),
           Column("NumberOfStudyRelatedSeries", 0x00201206, "IS", "Series", False),
           Column("StudyInstanceUID", 0x0020000D, "UI", "UID", False)]
NAMES = ["DOE^JOHN", "Müller^Jürgen", "Wang^XiaoDong=王^小東=", 'O"Brien, A', "a\x1b[2Jb", ""]


def match(name):
    return {0x00100010: Values("PN", (name,) if name else ()), 0x00080061: Values("CS", ("CT", "SR")),
            0x00201206: Values("IS", ("3",)), 0x0020000D: Values("UI", ("1." * 31 + "12",))}


MATCHES = [match(name) for name in NAMES]


def written(format_name, matches=MATCHES, encoding="utf-8"):
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, newline="")
    count = FORMATS[format_name](matches, COLUMNS, out)
    out.flush()
    assert count == len(matches)
    return raw.getvalue().decode(encoding)


def test_json_is_read_back():
    found = json.loads(written("json"))
    assert [one["PatientName"] for one in found] == [*NAMES[:-1], None]
    assert found[0] == {"PatientName": "DOE^JOHN", "PatientID": None, "ModalitiesInStudy": ["CT", "SR"],
                        "NumberOfStudyRelatedSeries": 3, "StudyInstanceUID": "1." * 31 + "12"}
    assert "王" in written("json")
    assert json.loads(written("json", encoding="ascii")) == found
    assert json.loads(written("json", [])) == []


def test_json_is_closed_even_if_the_query_fails():
    def failing():
        yield MATCHES[0]
        raise RuntimeError

    out = io.StringIO()
    with pytest.raises(RuntimeError):
        FORMATS["json"](failing(), COLUMNS, out)
    assert len(json.loads(out.getvalue())) == 1


def test_a_count_that_is_no_number_stays_what_it_is():
    broken = MATCHES[0] | {0x00201206: Values("IS", ("many",))}
    assert json.loads(written("json", [broken]))[0]["NumberOfStudyRelatedSeries"] == "many"


def test_csv_is_read_back():
    text = written("csv")
    assert text.count("\r\n") == len(NAMES) + 1
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == [column.keyword for column in COLUMNS]
    assert [row[0] for row in rows[1:]] == NAMES
    assert rows[1][2] == "CT\\SR"
    assert '"O""Brien, A"' in text


def test_compact_is_one_line_each():
    lines = written("compact").splitlines()
    assert len(lines) == len(NAMES)
    assert lines[0] == f"DOE^JOHN | CT\\SR | 3 | {'1.' * 31}12"
    assert lines[4].startswith("a\\x1b[2Jb | ")


def test_a_table_is_aligned_whatever_the_script():
    lines = written("table").splitlines()
    assert lines[0].split() == ["Patient", "Mod", "Series", "UID"]
    # 王 and its like take two columns each
    assert [line.index("CT\\SR") + sum(letter in "王小東" for letter in line) for line in lines[2:]] == [
        lines[0].index("Mod")] * len(NAMES)
    assert "\x1b" not in written("table")
    assert written("table", []) == ""


def test_long_text_is_cut_and_uids_are_not():
    line = written("table", [match("x" * 100)]).splitlines()[2]
    assert "x" * 39 in line and "x" * 41 not in line
    assert line.endswith("1." * 31 + "12")
