"""Person names: case, accents, width, component groups, trailing delimiters (PS3.4 C.2.2.2.1, PS3.5 6.2.1)."""
from __future__ import annotations

from tests.interop.find.group import Group, single

_SPREAD = [("graf^oz", "ab"), ("GRÄF^ÖZ", "ab"), ("GRAF*", "abc"), ("graf", ""), ("*x", "c"), ('""', "d"),
           ("", "abcd")]

GROUPS: list[Group] = [
    single("names: case", "PATIENT", "PatientName", {
        "a": "Doe^John", "b": "DOE^JOHN", "c": "doe^john", "d": "Doe", "e": "Doe^Johnny", "f": None,
    }, [
        ("Doe^John", "abc"), ("doe^JOHN", "abc"), ("DOE", "d"), ("Doe*", "abcde"), ("Doe^J*", "abce"),
        ("Doe^John?", ""), ("Doe^John??", "e"), ("*john", "abc"), ("D?e", "d"), ("?oe*", "abcde"), ("John*", ""),
        ("*oh*", "abce"), ("*", "abcdef"), ("", "abcdef"), ("Roe", ""), ('""', "f"), ("doe\\DOE^JOHNNY", "de"),
        ("doe^j*n\\x", "abc"), (" Doe^John ", "abc"),
        ("^", "abcdef"), ("^^=^", "abcdef"), ("*^", "abcdef"), ("=", "abcdef"),
    ]),
    single("names: accents", "PATIENT", "PatientName", {
        "a": "Müller^Jörg", "b": "Muller^Jorg", "c": "MÜLLER^JÖRG", "d": "Mueller^Joerg",
        "e": "Mu\u0308ller^Jo\u0308rg",
    }, [
        ("müller^jörg", "abcde"), ("muller^jorg", "abce"), ("muller*", "abce"), ("MÜLLER*", "abcde"),
        ("Mu\u0308ller*", "abcde"), ("mueller*", "acde"), ("M?ller*", "abce"), ("*^jorg", "abce"), ("M??ller*", "acde"),
        ("*ö*", "abcde"), ("mueller^joerg", "acde"), ("mueller^jorg", ""), ("=mueller*", ""), ("mueller*=", "acde"),
    ]),
    single("names: case of other scripts", "PATIENT", "PatientName", {
        "a": "Люксембург^Роза", "b": "ЛЮКСЕМБУРГ^РОЗА", "c": "Διονυσιος", "d": "ΔΙΟΝΥΣΙΟΣ", "e": "Weiß^Åsa",
        "f": "WEISS^ÅSA", "g": "Dvořák^Łukasz", "h": "שרון^דבורה", "i": "قباني^لنزار", "j": "นามสกุล^ชื่อ",
    }, [
        ("люксембург*", "ab"), ("liuksemburg^roza", "ab"), ("Dion*", "cd"), ("weiss^aasa", "ef"),
        ("ЛЮКСЕМБУРГ^роза", "ab"), ("*роза", "ab"), ("διονυσιος", "cd"), ("ΔΙΟΝΥΣΙΟ?", "cd"),
        ("weiss^asa", "ef"), ("Weiß*", "ef"), ("WEISS^Åsa", "ef"), ("dvorak*", "g"), ("DVOŘÁK^łukasz", "g"),
        ("שרון*", "h"), ("*דבורה", "h"), ("قباني^لنزار", "i"), ("نزار*", ""), ("*نزار", "i"), ("นาม*", "j"),
        ("นามสกุล^ชื่อ", "j"),
    ]),
    single("names: width", "PATIENT", "PatientName", {
        "a": "Ｄｏｅ^Ｊｏｈｎ", "b": "Doe^John", "c": "ﾔﾏﾀﾞ^ﾀﾛｳ", "d": "ヤマダ^タロウ", "e": "ヤマ^タロ",
    }, [
        ("doe^john", "ab"), ("ＤＯＥ*", "ab"), ("d?e*", "ab"), ("ヤマダ*", "cd"), ("ﾔﾏﾀﾞ^ﾀﾛｳ", "cd"), ("*タロウ", "cd"),
        ("ﾔﾏ*", "cde"), ("やまだ^たろう", "cd"), ("yamada*", "cd"),
    ]),
    single("names: component groups", "PATIENT", "PatientName", {
        "a": "Yamada^Tarou=山田^太郎=やまだ^たろう", "b": "Yamada^Tarou", "c": "=山田^太郎",
        "d": "Hong^Gildong=洪^吉洞=홍^길동", "e": "==やまだ^たろう",
    }, [
        ("山田^太郎", "ac"), ("やまだ^たろう", "abe"), ("ヤマダ^タロウ", "abe"), ("やまだ*", "abe"), ("山*", "ac"),
        ("太郎", ""), ("*太郎", "ac"), ("홍^길동", "d"), ("洪*", "d"), ("?田^太?", "ac"),
        ("=山田*", "ac"), ("==やまだ^たろう", "ae"), ("==山田*", ""), ("=Yamada*", ""), ("Yamada^Tarou=", "abe"),
        ("Yamada*=山田*", "a"), ("yamada*=洪*", ""), ("YAMADA*=山田^太郎=やまだ*", "a"), ("*=*太郎", "ac"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "d"), ("*=*=홍*", "d"), ("hong*\\==やまだ*", "ade"), ("*a*", "abe"),
        ("yamada^tarou", "abe"),
    ]),
    single("names: trailing delimiters", "PATIENT", "PatientName", {
        "a": "Doe", "b": "Doe^", "c": "Doe^^^^", "d": "Doe^^X", "e": "Doe ^", "f": "Doe^^X^^", "g": "Doe==",
        "h": " Doe",
    }, [
        ("Doe", "abcegh"), ("Doe^", "abcegh"), ("Doe^^^^", "abcegh"), ("DOE=", "abcegh"), ("Doe^^X", "df"),
        ("doe^^x^^", "df"), ("Doe^X", ""), ("Doe*", "abcdefgh"), ("Do?", "abcegh"), ("Doe ", "abcegh"),
    ]),
    single("names: five components", "PATIENT", "PatientName", {
        "a": "Adams^John Robert Quincy^^Rev.^B.A. M.Div.", "b": "Adams^John", "c": "^John", "d": "Adams^^Quincy",
    }, [
        ("adams^john*", "ab"), ("*quincy*", "ad"), ("Adams^*^^Rev.^*", "a"), ("*^John", "bc"), ("^john", "c"),
        ("adams^^q*", "d"), ("*rev.*", "a"), ("Adams^John Robert Quincy^^Rev.^B.A. M.Div.", "a"),
    ]),
    single("names: literal characters", "PATIENT", "PatientName", {
        "a": "O'Neil^Ann", "b": "100%^X", "c": "A_B^C", "d": "AxB^C", "e": "[x]^y", "f": "';--^DROP", "g": "A.B^C",
        "h": "A*B^C",
    }, [
        ("O'Neil^Ann", "a"), ("o'neil*", "a"), ("100%*", "b"), ("%*", ""), ("%", ""), ("A_B^C", "c"), ("_*", ""),
        ("A?B*", "cdgh"), ("[x]*", "e"), ("[a-z]*", ""), ("';--*", "f"), ("A.B*", "g"), ("A*B^C", "cdgh"),
    ]),
    single("names: responsible person", "PATIENT", "ResponsiblePerson",
           {"a": "Gräf^Öz", "b": "Graf^Oz", "c": "Grafen^X", "d": None}, _SPREAD),
    single("names: other names of a patient", "PATIENT", "OtherPatientNames",
           {"a": "Roe^R\\Gräf^Öz", "b": "Graf^Oz", "c": "Grafen^X", "d": None}, _SPREAD),
    single("names: referring physician", "STUDY", "ReferringPhysicianName",
           {"a": "Gräf^Öz", "b": "Graf^Oz", "c": "Grafen^X", "d": None}, _SPREAD),
    single("names: physicians of record", "STUDY", "PhysiciansOfRecord",
           {"a": "Gräf^Öz", "b": "Graf^Oz\\Roe^R", "c": "Grafen^X", "d": ""}, _SPREAD),
    single("names: operators", "SERIES", "OperatorsName",
           {"a": "Gräf^Öz", "b": "Graf^Oz", "c": "Roe^R\\Grafen^X", "d": None}, _SPREAD),
    single("names: content creator", "IMAGE", "ContentCreatorName",
           {"a": "Gräf^Öz", "b": "=Graf^Oz", "c": "Grafen^X", "d": None}, _SPREAD),
]
