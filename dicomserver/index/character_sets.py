"""PS3.3 C.12.1.1.2: the defined terms of (0008,0005) and PS3.5 6.1.2.5's escape sequences, as Python codecs.

pydicom's tables and Latin alphabet No. 9, which it lacks; a test compares. Importing pydicom costs 19 MB and 0.14 s.
"""
from __future__ import annotations

import re

ENCODINGS = {
    "": "iso8859",  # the default repertoire is ASCII; devices that send more without saying so mean Latin-1
    "ISO_IR 6": "iso8859",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso_ir_126",
    "ISO_IR 127": "iso_ir_127",
    "ISO_IR 138": "iso_ir_138",
    "ISO_IR 144": "iso_ir_144",
    "ISO_IR 148": "iso_ir_148",
    "ISO_IR 166": "iso_ir_166",
    "ISO_IR 192": "UTF8",
    "ISO_IR 203": "iso8859_15",
    "GB18030": "GB18030",
    "GBK": "GBK",
    "ISO 2022 IR 6": "iso8859",
    "ISO 2022 IR 13": "shift_jis",
    "ISO 2022 IR 58": "iso_ir_58",
    "ISO 2022 IR 87": "iso2022_jp",
    "ISO 2022 IR 100": "latin_1",
    "ISO 2022 IR 101": "iso8859_2",
    "ISO 2022 IR 109": "iso8859_3",
    "ISO 2022 IR 110": "iso8859_4",
    "ISO 2022 IR 126": "iso_ir_126",
    "ISO 2022 IR 127": "iso_ir_127",
    "ISO 2022 IR 138": "iso_ir_138",
    "ISO 2022 IR 144": "iso_ir_144",
    "ISO 2022 IR 148": "iso_ir_148",
    "ISO 2022 IR 149": "euc_kr",
    "ISO 2022 IR 159": "iso2022_jp_2",
    "ISO 2022 IR 166": "iso_ir_166",
    "ISO 2022 IR 203": "iso8859_15",
}

# PS3.5 6.1.2.5.4: no escape sequence has a meaning in these.
STAND_ALONE = frozenset({"UTF8", "GB18030", "GBK"})

ESCAPES = {
    b"\x1b(B": "iso8859",
    b"\x1b(J": "shift_jis",
    b"\x1b)I": "shift_jis",
    b"\x1b-A": "latin_1",
    b"\x1b-B": "iso8859_2",
    b"\x1b-C": "iso8859_3",
    b"\x1b-D": "iso8859_4",
    b"\x1b-F": "iso_ir_126",
    b"\x1b-G": "iso_ir_127",
    b"\x1b-H": "iso_ir_138",
    b"\x1b-L": "iso_ir_144",
    b"\x1b-M": "iso_ir_148",
    b"\x1b-T": "iso_ir_166",
    b"\x1b-b": "iso8859_15",
    b"\x1b$B": "iso2022_jp",
    b"\x1b$(D": "iso2022_jp_2",
    b"\x1b$)A": "iso_ir_58",
    b"\x1b$)C": "euc_kr",
}

# What devices write instead of a defined term, letters and digits alone.
_OTHER_NAMES = {
    "UTF8": "ISO_IR 192", "LATIN1": "ISO_IR 100", "ISO88591": "ISO_IR 100", "ISO88592": "ISO_IR 101",
    "ISO88593": "ISO_IR 109", "ISO88594": "ISO_IR 110", "ISO88595": "ISO_IR 144", "ISO88596": "ISO_IR 127",
    "ISO88597": "ISO_IR 126", "ISO88598": "ISO_IR 138", "ISO88599": "ISO_IR 148", "ISO885915": "ISO_IR 203",
    "TIS620": "ISO_IR 166", "GB2312": "GBK", "SHIFTJIS": "ISO_IR 13",
    "ISO2022GBK": "GBK", "ISO202258": "ISO 2022 IR 58",
}
_NOT_A_LETTER = re.compile(r"[^A-Z0-9]")


def defined_term(value: bytes) -> str | None:
    """The key of ENCODINGS that one value of (0008,0005) means, None if it means none of them."""
    return _TERMS.get(_letters(value.decode("ascii", "replace").upper()))


def _letters(name: str) -> str:
    return _NOT_A_LETTER.sub("", name)


# Devices write ISO_IR 100 as ISO-IR 100, ISO IR 100 and so on: only letters and digits tell the terms apart.
_TERMS = {
    **_OTHER_NAMES,
    # Some write ISO_IR 87, where only ISO 2022 IR 87 is defined.
    **{_letters(term.replace("ISO 2022 IR", "ISO_IR")): term for term in ENCODINGS if "2022" in term},
    **{_letters(term): term for term in ENCODINGS},
}
