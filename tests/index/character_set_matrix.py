"""Names as they are stored in every character set of PS3.3 C.12.1.1.2: alone, as first value, and as code extension.

Each is asked for in each of these character sets, too.
"""
from __future__ import annotations

from typing import NamedTuple


class Stored(NamedTuple):
    """A PN value, what it says, and the search text of that."""

    character_set: bytes
    raw: bytes
    text: str
    folded: str


# Those of one byte: number, Python's codec, escape sequence, name, folded name.
ONE_BYTE = [
    (13, "shift_jis", b"\x1b)I", "ﾔﾏﾀﾞ^ﾀﾛｳ", "ヤマダ^タロウ"),
    (100, "latin_1", b"\x1b-A", "Äneas^Jérôme Straß", "aneas^jerome strass"),
    (101, "iso8859_2", b"\x1b-B", "Wałęsa^Żaneta", "walesa^zaneta"),
    (109, "iso8859_3", b"\x1b-C", "Ħalimi^Ġorġ", "halimi^gorg"),
    (110, "iso8859_4", b"\x1b-D", "Ķīsis^Līga", "kisis^liga"),
    (126, "iso8859_7", b"\x1b-F", "Διονύσιος^Ζωή", "διονυσιοσ^ζωη"),
    (127, "iso8859_6", b"\x1b-G", "قباني^لنزار", "قباني^لنزار"),
    (138, "iso8859_8", b"\x1b-H", "שרון^דבורה", "שרון^דבורה"),
    (144, "iso8859_5", b"\x1b-L", "Королёв^Сергей", "королев^сергей"),
    (148, "iso8859_9", b"\x1b-M", "Çavuşoğlu^İpek Işıl", "cavusoglu^ipek isil"),
    (166, "tis_620", b"\x1b-T", "นามสกุล^ชื่อต้น", "นามสกุล^ชื่อต้น"),
    (203, "iso8859_15", b"\x1b-b", "Œdipe^Žofia", "oedipe^zofia"),
]


def _escaped(text: str, codec: str, escape: bytes) -> bytes:
    return b"^".join(escape + component.encode(codec) for component in text.split("^"))


ALONE = [Stored(f"{prefix} {number}".encode(), text.encode(codec), text, folded)
          for number, codec, _, text, folded in ONE_BYTE for prefix in ("ISO_IR", "ISO 2022 IR")]
_EXTENDING = [Stored(f"{first}\\ISO 2022 IR {number}".encode(), _escaped(text, codec, escape), text, folded)
              for number, codec, escape, text, folded in ONE_BYTE for first in ("", "ISO 2022 IR 6")]
_ASCII = [Stored(term, b"Adams^John", "Adams^John", "adams^john") for term in (b"", b"ISO_IR 6", b"ISO 2022 IR 6")]

_YAMADA = "Yamada^Tarou=山田^太郎=やまだ^たろう"
MANY_BYTES = [
    Stored(b"\\ISO 2022 IR 87",  # PS3.5 H.3.1
           b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
           _YAMADA, "yamada^tarou=山田^太郎=ヤマダ^タロウ"),
    Stored(b"ISO 2022 IR 13\\ISO 2022 IR 87",  # H.3.2
           b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
           "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "ヤマダ^タロウ=山田^太郎=ヤマダ^タロウ"),
    Stored(b"\\ISO 2022 IR 159", b"\x1b$(Dl?\x1b(B^\x1b$(D0!\x1b(B", "鷗^丂", "鷗^丂"),
    Stored(b"\\ISO 2022 IR 87\\ISO 2022 IR 159", b"Mori=\x1b$B?9\x1b(B^\x1b$(Dl?\x1b$B30\x1b(B",
           "Mori=森^鷗外", "mori=森^鷗外"),
    Stored(b"\\ISO 2022 IR 149",  # I.2
           b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
           "Hong^Gildong=洪^吉洞=홍^길동", "hong^gildong=洪^吉洞=홍^길동"),
    Stored(b"\\ISO 2022 IR 58", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",  # K.2
           "Zhang^XiaoDong=张^小东", "zhang^xiaodong=张^小东"),
    Stored(b"ISO_IR 192", b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1",  # J.1
           "Wang^XiaoDong=王^小東", "wang^xiaodong=王^小東"),
    Stored(b"GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东", "wang^xiaodong=王^小东"),
    Stored(b"GBK", b"Yan=\x87\xc0^\x9f\x5c", "Yan=嚴^焅", "yan=嚴^焅"),
]
MIXED = [
    Stored(b"ISO 2022 IR 6\\ISO 2022 IR 100\\ISO 2022 IR 126",
           b"Ren\x1b-A\xe9e^\x1b-F\xc6\xf9\xde \x1b-A\xe9", "Renée^Ζωή é", "renee^ζωη e"),
    Stored(b"ISO 2022 IR 100\\ISO 2022 IR 144", b"Ren\xe9e^\x1b-L\xb8\xd2\xd0\xdd=\xe9^\x1b-L\xb8",
           "Renée^Иван=é^И", "renee^иван=e^и"),
    Stored(b"ISO 2022 IR 144\\ISO 2022 IR 87",  # what follows ESC ( B has no letters of its own above 7FH
           b"\xb8\x1b$B;3\x1b(B\xb8=\x1b$BED\x1b(B", "И山И=田", "и山и=田"),
    Stored(b"ISO 2022 IR 6\\ISO 2022 IR 149\\ISO 2022 IR 58\\ISO 2022 IR 138",
           b"\x1b$)C\xc8\xab\x1b$)A\xd5\xc5^\x1b-H\xf9", "홍张^ש", "홍张^ש"),
]

STORED = [*_ASCII, *ALONE, *_EXTENDING, *MANY_BYTES, *MIXED]
ASKED = [stored.character_set for stored in STORED]


def in_own_words(asked: bytes) -> bytes:
    """The (0008,0005) that an answer has for it: with a single value there is nothing to extend."""
    return asked if b"\\" in asked else asked.replace(b"ISO 2022 IR", b"ISO_IR")
