"""Values that are junk: kept as sent, bounded in the index, NULL there where nobody can read them."""
from __future__ import annotations

import struct

import pytest

from tests.hostile.cases import Stored, covers, run_store, success, table
from tests.hostile.objects import Identity, dataset, explicit, implicit, new_identity
from tests.hostile.peer import Peer, storage_rq, store

JUNK = "odd lengths and junk values"
STUDY_DATE, STUDY_TIME, BIRTH, NUMBER, SERIES_NUMBER = 0x00080020, 0x00080030, 0x00100030, 0x00200013, 0x00200011
NAME, PATIENT, DESCRIPTION, CHARACTER_SET = 0x00100010, 0x00100020, 0x00081030, 0x00080005

COLUMNS = {STUDY_DATE: "SELECT study_date FROM studies WHERE uid = ?",
           STUDY_TIME: "SELECT study_time FROM studies WHERE uid = ?",
           BIRTH: "SELECT patient_birth_date FROM studies WHERE uid = ?",
           NUMBER: "SELECT number FROM instances WHERE uid = ? || '.1.1'",
           SERIES_NUMBER: "SELECT number FROM series WHERE uid = ? || '.1'",
           NAME: "SELECT patient_name FROM studies WHERE uid = ?",
           DESCRIPTION: "SELECT description FROM studies WHERE uid = ?"}


def column(server, tag: int, identity: Identity):
    """What the index holds of an element."""
    return server.row(COLUMNS[tag], identity.study)[0]


def sent(server, changed: dict, write=explicit) -> Identity:
    """Stores an instance with these elements, which must succeed and be kept as sent."""
    identity = new_identity()
    syntax = "1.2.840.10008.1.2" if write is implicit else "1.2.840.10008.1.2.1"
    build = Stored("", "", lambda _: dataset(identity, changed, write=write), success, syntax)
    run_store(server, build, identity)
    return identity


UNREADABLE = [
    (STUDY_DATE, b"DA", value) for value in (b"20261399", b"20260230", b"tomorrow", b"00000000", b"2026",
                                             b"20260101\\20260102",
                                             b"2026010", b"-2026101", b"\xff\xfe", b"202601019999999999")
] + [(BIRTH, b"DA", value) for value in (b"19999999", b"unknown ", b"99999999")
] + [(STUDY_TIME, b"TM", value) for value in (b"250000", b"noon", b"126000", b"12:60", b"\0\0\0\0")
] + [(NUMBER, b"IS", value) for value in (b"1e309 ", b"1E99999999", b"9" * 400, b"99999999999 ", b"0x10", b"NaN ",
                                          b"--1 ",
                                          b"1\\2 ", b"2147483648", b"-2147483649")
] + [(SERIES_NUMBER, b"IS", value) for value in (b"1e309", b"\xb2\xb3", b"1.5 ")]


@covers(JUNK)
@pytest.mark.parametrize("tag, vr, value", UNREADABLE, ids=lambda value: repr(value)[:40])
def test_what_nobody_can_read(server, tag, vr, value):
    assert column(server, tag, sent(server, {tag: (vr, value)})) is None


@covers(JUNK)
@pytest.mark.parametrize("value, number", [(b"2147483647", 2147483647), (b"-2147483648", -(2**31)), (b" +7 ", 7)])
def test_the_largest_numbers(server, value, number):
    assert column(server, NUMBER, sent(server, {NUMBER: (b"IS", value)})) == number


ODD = [Stored(JUNK, name, lambda identity, changed=changed: dataset(identity, changed), success) for name, changed in {
    "date of 7 bytes": {STUDY_DATE: (b"DA", b"2026031")}, "text of 1 byte": {DESCRIPTION: (b"LO", b"x")},
    "US of 3 bytes": {0x00280010: (b"US", b"\1\0\2")}, "US of no bytes": {0x00280010: (b"US", b"")},
    "FD of 7 bytes": {0x00189087: (b"FD", b"\0" * 7)}, "Rows as text": {0x00280010: (b"LO", b"many")},
    "name as a number": {NAME: (b"US", b"\1\0")}, "date as bytes": {STUDY_DATE: (b"OB", b"\0\1\2")},
    "a VR that does not exist": {0x00081030: (b"ZZ", b"ab")}, "number as a date": {NUMBER: (b"DA", b"20260101")},
    "UN for all": {NAME: (b"UN", b"A^B"), STUDY_DATE: (b"UN", b"20260101"), NUMBER: (b"UN", b"1 ")},
    "AT of 5 bytes": {0x00280009: (b"AT", b"\0" * 5)},
}.items()] + [
    Stored(JUNK, "elements out of order",
           lambda identity: dataset(identity, None, explicit(0x00080050, b"SH", b"A1")), success),
    Stored(JUNK, "an element twice", lambda identity: dataset(identity, None, explicit(0x00081030, b"LO", b"ab")),
           success),
    Stored(JUNK, "trailing padding", lambda identity: dataset(identity, {0xFFFCFFFC: (b"OB", b"\0" * 1001)}), success),
]
TABLES = [ODD]


@table(ODD)
def test_odd(server, case):
    run_store(server, case)


PN = "person names"
NAMES = {"8 carets": b"A^B^C^D^E^F^G^H^I", "only carets": b"^^^^^^^^", "5 groups": b"A=B=C=D=E",
         "newline": b"Evil\r\nname^X",
         "markup": b"<script>alert(1)</script>^X", "quotes": b"O'Neil\";--", "escape sequences": b"\x1b[31mred\x1b[0m",
         "NULs": b"A\0B\0C", "spaces": b" " * 64, "65 characters": b"A" * 65, "1 KiB": b"B" * 1024,
         "1 KiB and one": b"C" * 1025,
         "65 534 bytes": b"D" * 65534, "format": b"%s%n{0}${jndi:ldap://x}",
         "bytes that are no text": bytes(range(128, 256))}


@covers(PN)
@pytest.mark.parametrize("name", NAMES)
def test_person_name(server, name):
    held = column(server, NAME, sent(server, {NAME: (b"PN", NAMES[name])}))
    assert held is None if name == "spaces" else len(held.encode()) <= 1024
    if NAMES[name].isascii() and len(NAMES[name]) < 1024 and held and name not in ("NULs", "escape sequences"):
        assert held == NAMES[name].decode().strip()


@covers(PN)
@pytest.mark.parametrize("length", [65536, 5_000_000])
def test_a_name_longer_than_explicit_vr_can_say(server, length):
    identity = sent(server, {NAME: (b"PN", b"E^" * (length // 2))}, implicit)
    assert len(column(server, NAME, identity).encode()) <= 1024
    packed, = server.row("SELECT max(length(attributes)) FROM patients")
    assert packed < 70000


@covers(PN)
def test_a_patient_id_of_a_megabyte(server):
    """Cut short it could be that of somebody else: so it is nobody's."""
    identity = new_identity()
    with Peer(server.port) as peer:
        peer.associate(storage_rq("1.2.840.10008.1.2"))
        peer.send(store(identity.instance, dataset(identity, {PATIENT: (b"LO", b"7" * 1_000_000)}, write=implicit)))
        server.others_are_served()
        assert peer.status() == 0
        peer.release()
    server.keep(identity, patient=identity)
    assert server.row("SELECT patient_id FROM studies WHERE uid = ?", identity.study) == (None,)


SETS = "character sets"
JAPANESE = "ISO 2022 IR 13\\ISO 2022 IR 87"
TEXTS = {   # (0008,0005), the name as sent, what the index makes of it
    "unknown": (b"ISO_IR 9999", b"M\xc3\xbcller^A", "Müller^A"),
    "empty": (b"", b"Abc^D", "Abc^D"),
    "junk": (b"\xff\xfe\\\x1b", b"Abc^D", "Abc^D"),
    "1 000 values": (b"\\ISO 2022 IR 87" * 1000, b"Abc^D", "Abc^D"),
    "declared ASCII, sent Latin-1": (b"", b"M\xfcller^A", "Müller^A"),
    "declared UTF-8, sent Latin-1": (b"ISO_IR 192", b"M\xfcller^A", "Müller^A"),
    "5Ch in Shift JIS": (b"ISO_IR 13", b"\xb1\x5c\xb2", None),
    "5Ch in GB18030": (b"GB18030", "誠^乗".encode("gb18030"), "誠^乗"),
    "5Ch in GBK": (b"GBK", b"\x81\x5c^A", b"\x81\x5c^A".decode("gbk")),
    "5Ch in ISO 2022 IR 87": (JAPANESE.encode(), b"\xd4^A=\x1b$B;3\x5cED\x1b(B", None),
    "unterminated escape": (JAPANESE.encode(), b"A^B=\x1b$B;3ED", None),
    "escape at the end": (JAPANESE.encode(), b"A^B\x1b", None),
    "unknown escape": (b"\\ISO 2022 IR 87", b"A\x1b%/1B", None),
    "half a letter": (b"ISO_IR 192", b"A\xe3\x81", None),
    "nothing but escapes": (JAPANESE.encode(), b"\x1b$B\x1b(B" * 500, None),
}


@covers(SETS)
@pytest.mark.parametrize("text", TEXTS)
def test_character_set(server, text):
    character_set, name, held = TEXTS[text]
    identity = sent(server, {CHARACTER_SET: (b"CS", character_set), NAME: (b"PN", name)})
    kept = column(server, NAME, identity)
    assert held is None or kept == held
    raw, own = server.row("SELECT character_set, patient_attributes FROM studies WHERE uid = ?", identity.study)
    assert raw[:60] == character_set[:60]
    assert name[:1024] in own


PIXELS = "declared pixels"


def image(rows: int, columns: int, frames: bytes, bits: int, data: bytes) -> dict:
    numbers = {0x00280002: 1, 0x00280010: rows, 0x00280011: columns, 0x00280100: bits}
    return {tag: (b"US", struct.pack("<H", value)) for tag, value in numbers.items()} | {
        0x00280008: (b"IS", frames), 0x00280004: (b"CS", b"MONOCHROME2 "), 0x7FE00010: (b"OW", data)}


@covers(PIXELS)
@pytest.mark.parametrize("rows, columns, frames, bits, octets, short", [
    (4, 4, b"2", 16, 64, 0), (4, 4, b"2", 16, 63, 1), (4, 4, b"2", 16, 0, 1), (4, 4, b"2", 16, 65, 0),
    (3, 3, b"1", 1, 2, 0),
    (3, 3, b"1", 1, 1, 1), (65535, 65535, b"2147483647", 65535, 10, 1), (65535, 65535, b"9" * 30, 32, 10, 1),
    (0, 0, b"0", 0, 10, 0), (1, 1, b"-5", 8, 1, 0), (1, 1, b"9" * 5000, 8, 1, None), (1, 1, b"many", 8, 0, 0),
], ids=str)
def test_pixels(server, rows, columns, frames, bits, octets, short):
    identity = sent(server, image(rows, columns, frames, bits, b"\0" * octets))
    flags, = server.row("SELECT flags FROM instances WHERE uid = ?", identity.instance)
    assert short is None or flags == short
