"""An index with something of everything, copies of it, and all that an index can be asked."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from dicomserver.index import Index, Passed, begin_copy, open_index, open_source, open_target, run_pass
from dicomserver.index.integrity import Finding, ScrubPlace
from dicomserver.index.search.keys import BadKey, criterion_of
from dicomserver.index.search.query import Condition, Query
from dicomserver.index.search.selection import select
from dicomserver.standard.attributes import Level
from tests.index.samples import BIRTH_DATE, ISSUER, PATIENT_ID, PATIENT_NAME, make, sizes
from tests.index.search import stored

JANE = {PATIENT_NAME: b"ROE^JANE"}
KEYS = ("*b*", "A*", "山*", "=山*", "*ﾔﾏ*", "mull*", "mueller^joerg", "dough^jon", "yamata",
        "DOE^*", "20240229", "-20240229", "10-12", "1.2", "1.9.1", "7", '""')


def fill(url: str) -> None:
    """Odd texts in every column, patients without an id, series of one UID in two studies, other patients (accepted,
    and not), digests, faults, a scrub that is under way, arrivals; and gaps where something was deleted."""
    with closing(open_index(url)) as index:
        stored.fill(index)
        for number in range(1, 4):
            index.add(make(number, study=f"2.{number}", series="2.9", sop_instance_uid=f"2.9.{number}",
                           slot=500 + number, patient={PATIENT_ID: b""}))
            index.add(make(number, study="2.5", slot=510 + number, patient={ISSUER: b"A"}))
        for number, patient in enumerate((JANE, JANE, {BIRTH_DATE: b"19990101"})):
            index.add(make(20 + number, study="2.5", slot=520 + number, patient=patient))
        index.other_patients.accept("2.5")
        index.add(make(30, study="2.5", slot=530, patient=JANE))
        index.add(make(31, study="2.5", slot=531, patient={PATIENT_NAME: b"NOBODY"}))
        rows = list(index.select())
        index.integrity.record([Finding(rows[0], b"\0" * 32, ""), Finding(rows[1], b"1" * 32, ""),
                                Finding(rows[2], None, "it is cut off"), Finding(rows[5], None, "missing")])
        index.integrity.record([Finding(rows[1], None, "changed")])
        index.integrity.place = ScrubPlace(5, 7, False)
        index.arrivals.add(19000, 1 << 33)
        index.arrivals.add(19001, 5)
        gone = [row for row in rows if row.slot in (3, 4, 511)] + rows[-1:]
        index.remove([row.sop_instance_uid for row in gone], [row.slot for row in gone])
        index.mark_complete()


def move(source_url: str, target_url: str, *, replace: bool = False, most: int = 5,
         progress: Callable[[int, int], None] = lambda done, total: None) -> list[Passed]:
    """Copies all, to the end; what each pass came to."""
    passes = []
    with closing(open_source(source_url)) as source, closing(open_target(target_url)) as target:
        begin_copy(target, source, replace=replace)
        while not passes or passes[-1].changes:
            assert len(passes) < most
            passes.append(run_pass(source, target, progress))
            target.prepare()
        target.finish()
    return passes


def answers(url: str, keys: Sequence[str] = ()) -> dict[str, object]:
    """By what was asked. keys: of queries, each for every attribute."""
    with closing(open_index(url)) as index:
        rows = list(index.select())
        studies = sorted({row.study_instance_uid for row in rows})
        said: dict[str, object] = {
            "rows": rows, "counts": index.counts(), "sizes": sizes(index), "ages": index.ages(),
            "fresh": index.is_fresh, "instances": index.instances(range(200)),
            "digests": [index.integrity.sha256(row) for row in rows], "faults": index.integrity.faults(100),
            "place": index.integrity.place, "arrivals": [index.arrivals.between(day, day + 2) for day in
                                                         (18999, 19000, 19600, 19675)],
            "disputed": index.other_patients.disputed(),
            "others": [index.other_patients.of(study) for study in studies],
            "of the series": [list(index.select(series=series)) for series in ("2.9", "1.1.1")],
        }
        for level in Level:
            query = Query(level, ())
            said[f"all of {level.name}"] = sorted(row for page in index.search(query) for row in page)
        for attribute, level in stored.searched():
            for text in keys:
                said[f"{attribute.tag:08X} {level.name} {text}"] = _found(index, attribute, level, text)
        return said


def _found(index: Index, attribute, level: Level, text: str) -> list[tuple[int]] | None:
    try:
        criterion = criterion_of(attribute.vr, text.encode(), stored.UTF_8, fuzzy=True)
    except BadKey:
        return None
    chosen = select(Query(level, (Condition(attribute, criterion),)), index._engine.dialect)
    with index._engine.reading() as session:
        return sorted(session.rows(chosen.ids, chosen.values))
