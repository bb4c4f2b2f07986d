"""Text, codes, numbers and UIDs: single value, wildcards, lists, several values, empty value (PS3.4 C.2.2.2)."""
from __future__ import annotations

from tests.interop.find.group import Group, single

_ABSENT = {"b": "", "c": None}

# One attribute of each VR and level that has something to be empty.
_EMPTY = [("PatientBirthDate", "PATIENT", "19600229"), ("PatientBirthTime", "PATIENT", "101500"),
          ("PatientComments", "PATIENT", "Said"), ("PatientSpeciesDescription", "PATIENT", "Canis"),
          ("AccessionNumber", "STUDY", "A1"), ("StudyDate", "STUDY", "20200101"), ("StudyTime", "STUDY", "1015"),
          ("PatientAge", "STUDY", "045Y"), ("PatientWeight", "STUDY", "71.5"), ("StudyID", "STUDY", "S1"),
          ("Modality", "SERIES", "CT"), ("SeriesNumber", "SERIES", "3"), ("BodyPartExamined", "SERIES", "HEAD"),
          ("SeriesDescription", "SERIES", "Axial"), ("ImageComments", "IMAGE", "Blurred"),
          ("AcquisitionDateTime", "IMAGE", "20200101101500"), ("InstanceNumber", "IMAGE", "7")]

GROUPS: list[Group] = [
    single("text: single value", "STUDY", "AccessionNumber", {
        "a": "A100", "b": "a100", "c": "A 100", "d": "A100B", "e": None, "f": "", "g": " A100", "h": "A100  ",
    }, [
        ("A100", "agh"), ("a100", "b"), (" A100 ", "agh"), ("A 100", "c"), ("A10", ""), ("A100B", "d"), ("X", ""),
        ("", "abcdefgh"), ("A100\\A100B", "adgh"), ("X\\a100", "b"),
    ]),
    single("text: wildcards", "STUDY", "AccessionNumber", {
        "a": "A100", "b": "A200", "c": "B100", "d": "A1", "e": "A", "f": None,
    }, [
        ("A*", "abde"), ("*100", "ac"), ("A?00", "ab"), ("?", "e"), ("??", "d"), ("*0*", "abc"), ("A*0", "ab"),
        ("*", "abcdef"), ("?*", "abcde"), ("A**0", "ab"), ("a*", ""), ("A?", "d"), ("*1*", "acd"), ("????", "abc"),
        ("A*\\B*", "abcde"), ("A?\\*2*", "bd"), ("*?*?*", "abcd"), ("A100*", "a"), ("*A100", "a"),
        ("*0*0*0*0*0*0*0*0*b", ""),
    ]),
    single("text: literal characters", "STUDY", "StudyDescription", {
        "a": "100%", "b": "100x", "c": "a_b", "d": "axb", "e": "[a]", "f": "a", "g": "x';--", "h": "p^q=r",
        "i": "ACR.*", "j": "a*b", "k": "a?b", "l": "a/b", "m": '"a"',
    }, [
        ("100%", "a"), ("%", ""), ("100_", ""), ("a_b", "c"), ("_", ""), ("a?b", "cdjkl"), ("[a]", "e"),
        ("[a-z]", ""), ("x';--", "g"), ("ACR.*", "i"), (".*", ""), ("a*b", "cdjkl"), ("*^*", "h"), ("*=*", "h"),
        ("*%*", "a"), ("*_*", "c"), ("*'*", "g"), ("a+", ""), ("^a", ""), ("a|b", ""), ("*[*", "e"), ("a/b", "l"),
        ('"a"', "m"), ('"*"', "m"), ('"', ""), ("p^q=r", "h"), ("p^q", ""), ("x'; DROP TABLE studies;--", ""),
    ]),
    single("text: case and letters beyond ASCII", "STUDY", "StudyDescription", {
        "a": "Müllerstraße", "b": "müllerstraße", "c": "Mullerstrasse", "d": "頭部CT", "e": "Голова",
    }, [
        ("Müllerstraße", "a"), ("müllerstraße", "b"), ("M?llerstraße", "a"), ("M*e", "ac"), ("MÜLLERSTRASSE", ""),
        ("Mullerstrasse", "c"), ("頭部*", "d"), ("??CT", "d"), ("頭部ct", ""), ("Голова", "e"), ("голова", ""),
        ("Голов?", "e"), ("?лл*\\*ова", "e"),
    ]),
    single("text: Patient ID", "PATIENT", "PatientID", {
        "a": "pid-1", "b": "pid-10", "c": "PID-1", "d": "pid-2",
    }, [
        ("pid-1", "a"), ("pid-1*", "ab"), ("pid-?", "ad"), ("PID-1", "c"), ("pid-1\\pid-2", "ad"), ("?ID-?", "c"),
        ("pid-3", ""), ("pid-%", ""),
    ]),
    single("codes", "PATIENT", "PatientSex", {"a": "M", "b": "F", "c": "O", "d": None}, [
        ("M", "a"), ("m", ""), ("M\\F", "ab"), ("?", "abc"), ("*", "abcd"), ('""', "d"), ("M ", "a"), ("", "abcd"),
    ]),
    single("codes of a series", "SERIES", "Modality", {"a": "CT", "b": "MR", "c": "CTX", "d": None}, [
        ("CT", "a"), ("ct", ""), ("CT\\MR", "ab"), ("C*", "ac"), ("?T", "a"), ("*", "abcd"), ("US", ""),
    ]),
    single("long text is one value", "STUDY", "StudyComments", {
        "a": "line one\r\nline two", "b": "left\\right", "c": "left", "d": "right", "e": "Left",
    }, [
        ("left\\right", "b"), ("left", "c"), ("line*", "a"), ("*two", "a"), ("*\\*", "b"), ("l?ft", "c"),
        ("line one\r\nline two", "a"), ("*one*two", "a"), ("*", "abcde"),
    ]),
    single("short text is one value", "IMAGE", "DocumentTitle", {"a": "Report", "b": "Re\\port", "c": None}, [
        ("Report", "a"), ("Re\\port", "b"), ("Re*", "ab"), ("Re?port", "b"), ("report", ""), ('""', "c"),
    ]),
    single("ages have no wildcards", "STUDY", "PatientAge", {"a": "045Y", "b": "045M", "c": "005Y", "d": None}, [
        ("045Y", "a"), ("0?5Y", ""), ("*Y", ""), ("*", "abcd"), ("045Y\\045M", "ab"), ('""', "d"), ("", "abcd"),
    ]),
    single("integers", "IMAGE", "InstanceNumber", {
        "a": "7", "b": "007", "c": " 7 ", "d": "70", "e": "-7", "f": "+7", "g": None,
    }, [
        ("7", "abcf"), ("07", "abcf"), ("+7", "abcf"), ("-7", "e"), ("70\\-7", "de"), ("8", ""), ("*", "abcdefg"),
        ('""', "g"), (" 007", "abcf"), ("", "abcdefg"),
    ]),
    single("integers of a series", "SERIES", "SeriesNumber", {"a": "1", "b": "01", "c": "10", "d": "", "e": "0"}, [
        ("1", "ab"), ("001", "ab"), ("10", "c"), ("1\\10", "abc"), ('""', "d"), ("0", "e"), ("-0", "e"),
    ]),
    single("decimals", "IMAGE", "SliceLocation", {
        "a": "1.0", "b": "1", "c": "1.5", "d": "-1.50", "e": "1e1", "f": "10", "g": None,
    }, [
        ("1", "ab"), ("1.00", "ab"), ("1.5", "c"), ("-1.5", "d"), ("10", "ef"), ("1E1", "ef"), ("0.1E2", "ef"),
        ("1.0\\10", "abef"), ("2", ""), ('""', "g"), ("*", "abcdefg"),
    ]),
    single("decimals of a study", "STUDY", "PatientWeight", {"a": "71.5", "b": "71.50", "c": "71", "d": None}, [
        ("71.5", "ab"), ("7.15e1", "ab"), ("71.0", "c"), ("71\\71.5", "abc"),
    ]),
    single("binary numbers", "IMAGE", "Rows", {"a": 512, "b": 256, "c": None, "d": 2}, [
        (512, "a"), ([512, 256], "ab"), (b"", "abcd"), (1, ""), (2, "d"),
    ]),
    single("UIDs", "SERIES", "FrameOfReferenceUID", {"a": "1.2.3.4", "b": "1.2.3.40", "c": "1.2.3.4.5", "d": None}, [
        ("1.2.3.4", "a"), ("1.2.3.4\\1.2.3.40", "ab"), ("1.2.3.*", ""), ("1.2.3.?", ""), ("*", ""), ("1.2.3", ""),
        ('""', "d"), ("", "abcd"), (b"1.2.3.4 ", "a"), (b"1.2.3.4\0", "a"), ("1.2.3.4\\1.2.3.4", "a"),
        ("9.9\\1.2.3.4.5\\8.8", "c"), ("1_2.3.4", ""), (b"1.2.3.4\\1.2.3.40\0\0", "ab"),
    ]),
    single("SOP classes of instances", "IMAGE", "SOPClassUID", {
        "a": "1.2.840.10008.5.1.4.1.1.2", "b": "1.2.840.10008.5.1.4.1.1.4",
    }, [
        ("1.2.840.10008.5.1.4.1.1.4", "b"), ("1.2.840.10008.5.1.4.1.1.2\\1.2.840.10008.5.1.4.1.1.4", "ab"),
        ("1.2.840.10008.5.1.4.1.1.7", ""), ("1.2.840.10008.5.1.4.1.1.*", ""),
    ]),
    single("several stored values: text", "SERIES", "SoftwareVersions", {
        "a": "1.0\\2.0", "b": "2.0", "c": "1.0", "d": "3", "e": None,
    }, [
        ("2.0", "ab"), ("1.0\\3", "acd"), ("2*", "ab"), ("*0", "abc"), ("1.0\\2.0", "abc"), ("1.0*2.0", ""),
        ('""', "e"),
    ]),
    single("several stored values: codes", "IMAGE", "ImageType", {
        "a": "ORIGINAL\\PRIMARY\\AXIAL", "b": "DERIVED\\SECONDARY", "c": "DERIVED\\PRIMARY",
    }, [
        ("PRIMARY", "ac"), ("AXIAL", "a"), ("DERIVED\\AXIAL", "abc"), ("*ARY", "abc"), ("ORIGINAL\\PRIMARY", "ac"),
    ]),
    single("several stored values: integers", "IMAGE", "EchoNumbers", {"a": "1\\2", "b": "2", "c": "3"}, [
        ("2", "ab"), ("02", "ab"), ("1\\3", "ac"), ("12", ""),
    ]),
    single("several stored values: decimals", "IMAGE", "ImagePositionPatient", {"a": "1.0\\2\\3", "b": "4\\5\\6.50"}, [
        ("2.0", "a"), ("6.5", "b"), ("3\\4", "ab"), ("7", ""),
    ]),
    single("several stored values: other Patient IDs", "PATIENT", "OtherPatientIDs", {"a": "X1\\X2", "b": "X2"}, [
        ("X2", "ab"), ("X1", "a"), ("?1", "a"), ("X3", ""),
    ]),
] + [
    single(f"empty value: {keyword}", level, keyword, {"a": value, **_ABSENT},
           [('""', "bc"), ("", "abc"), (value, "a"), ("*", "abc")])
    for keyword, level, value in _EMPTY
] + [
    single("empty value: spaces are none", "STUDY", "AccessionNumber", {"a": "A1", "b": "    "},
           [('""', "b"), ("?*", "a"), ("*", "ab")]),
]
