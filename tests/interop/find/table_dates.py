"""Dates and times: values, ranges, precision, zones, and pairs of date and time (PS3.4 C.2.2.2.5, PS3.5 6.2)."""
from __future__ import annotations

from tests.interop.find.group import Group, single

_DAYS = {"a": "20200131", "b": "20200201", "c": "20201231", "d": None, "e": "2020.02.01", "f": "20200230"}
_DAYS_ASKED = [
    ("20200201", "be"), ("20200101-20200201", "abe"), ("-20200131", "a"), ("20200201-", "bce"), ('""', "df"),
    ("*", "abcdef"), ("", "abcdef"), ("20200131\\20201231", "ac"), ("20200230", "C000"),
]
_TIMES = {"a": "101500", "b": "101559.999999", "c": "102000", "d": "102059.5", "e": "110000", "f": None,
          "g": "10:15:00"}
_TIMES_ASKED = [("1015", "abg"), ("10", "abcdg"), ("1015-1020", "abcdg"), ("-1015", "abg"), ("1100-", "e"),
                ('""', "f"), ("noon", "C000")]

# Three days; whoever has no time is found by no time.
_MOMENTS = {"a": ("20200105", "0900"), "b": ("20200105", "1100"), "c": ("20200106", "0900"),
            "d": ("20200107", "1000"), "e": ("20200107", "1900"), "f": ("20200105", None)}
_EACH_ALONE = [(("20200105", "1000-1800"), "b"), (("20200105-20200107", "1100"), "b"),
               (("20200105-20200107", ""), "abcdef"), (("", "1000-1800"), "bd"), (("20200107", "1000"), "d"),
               (("20200105-20200107", '""'), "f")]
_COMBINED = [(("20200105-20200107", "1000-1800"), "bcd"), (("20200106-", "0900-"), "cde"),
             (("-20200106", "-0900"), "abc"), (("20200106-20200106", "0800-0900"), "c"),
             (("20200107-20200105", "1000-1800"), "")]
_SEPARATE = [(("20200105-20200107", "1000-1800"), "bd"), (("20200106-", "1000-"), "de"),
             (("-20200106", "-0900"), "ac")]


def _pair(rule: str, level: str, day: str, time: str, asked: list, combined: bool) -> Group:
    """A group about a date and the time that belongs to it."""
    stored = {letter: {day: date} | ({} if hour is None else {time: hour})
              for letter, (date, hour) in _MOMENTS.items()}
    return Group(rule, level, stored, [({day: dates, time: times}, found) for (dates, times), found in asked], combined)


GROUPS: list[Group] = [
    single("dates", "STUDY", "StudyDate", _DAYS, _DAYS_ASKED + [
        ("2020.02.01", "be"), ("20200201-20200201", "be"), ("20200202-20200101", ""), (" 20200201 ", "be"),
        ("20200202", ""), ("20200202-20201230", ""), ("20200131-20200201\\20201231", "abce"), ("19000101-", "abce"),
        ("2020.01.31-2020.02.01", "abe"), ("2020", "C000"), ("20201301", "C000"), ("tomorrow", "C000"),
        ("20200101-20200230", "C000"), ("-", "C000"), ("20200101--20200102", "C000"), ("2020*", "C000"),
        ("20200101-20200102-20200103", "C000"), ("2020010?", "C000"),
    ]),
    single("dates: birth", "PATIENT", "PatientBirthDate", _DAYS, _DAYS_ASKED),
    single("dates: series", "SERIES", "SeriesDate", _DAYS, _DAYS_ASKED),
    single("dates: performed procedure step", "SERIES", "PerformedProcedureStepStartDate", _DAYS, _DAYS_ASKED),
    single("dates: content", "IMAGE", "ContentDate", _DAYS, _DAYS_ASKED),
    single("times", "STUDY", "StudyTime", _TIMES, _TIMES_ASKED + [
        ("101500", "ag"), ("10:15", "abg"), ("10:15:00", "ag"), ("101500.000000", "ag"), ("1020-1100", "cde"),
        ("101559.999999", "b"), ("101559", "b"), ("101559.99", "b"), ("101559.98", ""), ("1016-1019", ""),
        ("1015\\1100", "abeg"), ("*", "abcdefg"), ("", "abcdefg"), ("000000-235959", "abcdeg"), ("102059.5-", "de"),
        ("-102059.4", "abcg"), ("10:15-10:20", "abcdg"), ("2500", "C000"), ("1060", "C000"), ("101", "C000"),
        ("-", "C000"), ("10*", "C000"), ("1015-1020-1030", "C000"),
    ]),
    single("times: birth", "PATIENT", "PatientBirthTime", _TIMES, _TIMES_ASKED),
    single("times: series", "SERIES", "SeriesTime", _TIMES, _TIMES_ASKED),
    single("times: performed procedure step", "SERIES", "PerformedProcedureStepStartTime", _TIMES, _TIMES_ASKED),
    single("times: content", "IMAGE", "ContentTime", _TIMES, _TIMES_ASKED),
    single("moments", "IMAGE", "AcquisitionDateTime", {
        "a": "20200101103000", "b": "20200101103000.5", "c": "20200102", "d": "202001011130",
        "e": "20200101103000+0100", "f": "20200101093000+0000", "g": None,
    }, [
        ("20200101", "abdef"), ("2020010110", "abe"), ("20200101103000", "abe"), ("20200101103000.5", "b"),
        ("2020", "abcdef"), ("2019-2020", "abcdef"), ("2020-2021", "abcdef"), ("202001", "abcdef"), ("202002", ""),
        ("20200102-", "c"), ("20200101103000.4-", "bcd"),
        ("-20200101103000", "abef"), ("2020010110-2020010111", "abde"), ("20200101-20200102", "abcdef"),
        ("20200101103000+0100", "abef"), ("20200101093000+0000", "ef"), ("20200101043000-0500", "ef"),
        ("20200101103000-0500-20200101120000-0500", "abd"), ("20200101\\20200102", "abcdef"), ("*", "abcdefg"),
        ('""', "g"), ("", "abcdefg"), ("20201301", "C000"), ("yesterday", "C000"), ("20200101-2020x", "C000"),
    ]),
    _pair("date and time, each alone", "STUDY", "StudyDate", "StudyTime", _EACH_ALONE + _SEPARATE, False),
    _pair("combined date and time", "STUDY", "StudyDate", "StudyTime", _EACH_ALONE + _COMBINED, True),
    _pair("combined date and time: birth", "PATIENT", "PatientBirthDate", "PatientBirthTime", _COMBINED, True),
    _pair("combined date and time: performed procedure step", "SERIES", "PerformedProcedureStepStartDate",
          "PerformedProcedureStepStartTime", _COMBINED, True),
    _pair("combined date and time: series", "SERIES", "SeriesDate", "SeriesTime", _COMBINED, True),
    _pair("combined date and time: content", "IMAGE", "ContentDate", "ContentTime", _COMBINED, True),
]
