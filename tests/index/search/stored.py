"""An index of odd values, in every column that is searched, and the two ways to ask it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from unittest.mock import patch

from dicomserver.index import Index, Instance
from dicomserver.index.search import selection
from dicomserver.index.search.columns import Kind, column_of
from dicomserver.index.search.conditions import fragment_of
from dicomserver.index.search.query import Condition, Moment, Query
from dicomserver.index.search.remainder import remainder
from dicomserver.index.search.selection import select
from dicomserver.standard.attributes import INDEXED, Attribute, Level
from dicomserver.standard.query import COMPUTED_TAGS, query_attributes
from dicomserver.wire.packed import Element, pack
from tests.index.samples import make

UTF_8 = b"ISO_IR 192"
# No backslashes: an attribute of a column has one value, and several in it count as one text there.
ODD: Mapping[Kind, Sequence[str]] = {
    Kind.TEXT: ["", " ", "A", "a", "ABC", "abc", "ABCABC", "AB C", "  ABC  ", "A*B", "A?B", "A[B]C", "[", "]x", "ÄBC",
                "äbc", "日本語テスト", "100%", "A_C", '"ABC"', '""', "x" * 64, "AB\0C", "ABC\r\n", "\U0001f600BC", "-", "^",
                "AXXB", "'; --"],
    Kind.NAME: ["", "DOE^JOHN", "Doe", "doe^^", "Müller^Jörg", "MULLER^JORG", "Yamada^Tarou=山田^太郎=やまだ^たろう",
                "=山田^太郎", "==ﾔﾏﾀﾞ", "Yamada==x", "^^", "=", "^John", "Doe^^X^", "O'Neil", " Doe ^ John ", "*^B",
                "[x]^y", "Ｄｏｅ", "Weiß", "ab\ncd", "x=y=z=w", "?", "Ελένη", "ﾔﾏﾀﾞ=x"],
    Kind.DATE: ["", "20240229", "2024.02.29", "20230229", "202402", "19991231", "junk", "00010101", " 20240301 ",
                "99991231"],
    Kind.TIME: ["", "10", "1015", "101530", "101530.5", "10:15:30", "235960", "10:", "2561", "101530.123456",
                "235959.999999", "000000", "noon"],
    Kind.INTEGER: ["", "1", "007", "-3", "+7", "7.0", "7.5", "1e2", "2147483647", "2147483648", "-2147483648", "junk",
                   " 12 ", "0", "7."],
}
ODD = {**ODD, Kind.UID: ["1.2.3"], Kind.LABEL: ["1.2.3"]}
_MOST = max(map(len, ODD.values()))
STUDY_DATE, STUDY_TIME = 0x00080020, 0x00080030


def searched() -> list[tuple[Attribute, Level]]:
    """What SQL answers, at each level."""
    return [(attribute, level) for (sequence, _), attribute in sorted(query_attributes().items()) if not sequence
            for level in Level if attribute.level <= level
            and (attribute.tag in COMPUTED_TAGS or column_of(attribute.tag, level))]


def kind_of(attribute: Attribute) -> Kind:
    """How it is kept, as far as it matters for what is odd."""
    column = column_of(attribute.tag, attribute.level)
    return column.kind if column else {"IS": Kind.INTEGER, "UI": Kind.UID}.get(attribute.vr, Kind.TEXT)


def instance(number: int, texts: Mapping[Kind, str], study: str = "") -> Instance:
    """All of its attributes of a kind have the same text; UIDs are made of the number."""
    study = study or f"1.{number}"
    one = make(number, study=study, series=f"{study}.{number}", sop_class_uid=f"1.9.{number % 3}",
               transfer_syntax_uid=f"1.8.{number % 2}", character_set=UTF_8)
    uids = {0x0020000D: one.study_instance_uid, 0x0020000E: one.series_instance_uid,
            0x00080018: one.sop_instance_uid, 0x00080016: one.sop_class_uid}

    def packed(level: Level) -> bytes:
        return pack(Element(one.tag, 0, 0, one.vr, uids.get(one.tag, texts[kind_of(one)]).encode()) for one in INDEXED
                    if one.level is level and not one.sequence and column_of(one.tag, level))
    one.patient, one.study, one.series, one.instance = map(packed, Level)
    return one


def odd_instance(number: int) -> Instance:
    """The one with the values of that number."""
    return instance(number + 1, {kind: values[number % len(values)] for kind, values in ODD.items()})


def fill(index: Index) -> None:
    """Studies of the odd values, the first ones of several series."""
    for number in range(_MOST):
        index.add(odd_instance(number))
    for number in range(5):
        index.add(instance(number + 100, {kind: values[number] if len(values) > number else ""
                                          for kind, values in ODD.items()}, study=f"1.{number % 3 + 1}"))


def by_sql(index: Index, level: Level, condition: Condition | Moment) -> list[int]:
    """The ids that the condition's SQL finds."""
    found = _found(index, level, condition)
    # And as it is said where another condition finds the rows.
    with patch.object(selection, "narrowest", return_value=object()):
        assert _found(index, level, condition) == found
    return found


def _found(index: Index, level: Level, condition: Condition | Moment) -> list[int]:
    dialect = index._engine.dialect
    selected = select(Query(level, (condition,)), dialect)
    assert fragment_of(condition, level, dialect) is not None and selected.meets is None
    with index._engine.reading() as session:
        return sorted(row for row, in session.rows(selected.ids, selected.values))


def by_values(index: Index, level: Level, condition: Condition | Moment) -> list[int]:
    """The ids of all those whose own values are accepted."""
    computed = isinstance(condition, Condition) and condition.attribute.tag in COMPUTED_TAGS
    meets = (lambda row: condition.criterion.accepts(_values(row[-1]))) if computed else remainder([condition])
    rows = _rows(index, level, (condition.attribute.tag,) if computed else ())
    return [number for number, row in rows if meets(row)]


def _values(computed: str | int | None) -> list[str]:
    return [] if computed is None else str(computed).split("\\")


@lru_cache
def _rows(index: Index, level: Level, computed: tuple[int, ...]) -> list[tuple[int, tuple]]:
    """By id; nothing is added to these indexes once they are asked."""
    selected = select(Query(level, (), computed), index._engine.dialect)
    rows_of = index._engine.dialect.rows_of
    with index._engine.reading() as session:
        return [(number, session.one(selected.rows, (rows_of([number]),)))
                for number, in sorted(session.rows(selected.ids))]
