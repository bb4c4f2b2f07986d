"""Queries that are broken, too large, or made to find a weakness: each is answered, and nothing of it stays."""
from __future__ import annotations

import itertools

import pytest

from dicomserver.standard.uids import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE, VERIFICATION
from tests.hostile.cases import covers, table
from tests.hostile.objects import (
    BIRTH_DATE, DESCRIPTION as KNEECAP, ITEM_END, PATIENT_NAME, SEQUENCE_END, STUDY, UNDEFINED, big_endian, dataset,
    explicit, implicit, item, new_identity,
)
from tests.hostile.peer import (
    COMMAND, DATASET, ECHO, LAST, SECONDARY_CAPTURE, STORE, Peer, echo, element, p_data, pdv, storage_rq, store, us,
)
from tests.hostile.queries import (
    DATE, DESCRIPTION, FIND, LEVEL, NAME, NOT_THIS_CLASS, NOTHING, PATIENT_ID, SUCCESS, Asked, answers, either, find,
    find_command, find_rq, identifier, key, level, mismatch, not_understood, run_query, served, too_much,
)

MODALITIES, CHARACTER_SET, WORDS = 0x00080061, 0x00080005, 0x0040A160
SERIES, AGE, TIME, INSTANCES = 0x0020000E, 0x00101010, 0x00080030, 0x00201208
MEBIBYTE = 1 << 20

LITERAL = "SQL, LIKE and GLOB characters"
LITERALS = [
    Asked(LITERAL, f"{where} {text.decode()}", level() + key(tag, vr, text), served)
    for where, tag, vr in (("name", NAME, b"PN"), ("Patient ID", PATIENT_ID, b"LO"),
                           ("description", DESCRIPTION, b"LO"), ("modalities", MODALITIES, b"CS"))
    for text in (b"';--", b"%", b"_", b"[a]", b"%%", b"[!a]*", b"__*", b"' OR '1'='1", b"'||(SELECT 1)||'",
                 b'" OR ""="', b"1; DROP TABLE studies;--", b"%neecap%", b"Zyxwvut^Qpon_", b"[ZO][yT]*", b"{0}%s$x",
                 b"x' ESCAPE '\\%", b"(.*)", b".*", b"^.*$")
]

STARS = "many wildcards"
PATTERNS = {"*a*a*a*a*a*a*a*a*b": b"*a" * 8 + b"*b", "thirty times": b"*a" * 30 + b"*b", "*?*?*": b"*?" * 200 + b"b",
            "a thousand stars and a letter that is not there": b"*" * 1000 + b"!",
            "all of it": b"*a" * 490 + b"*b", "in a list": b"\\".join([b"*a*a*a*b"] * 100)}
MANY_STARS = [Asked(STARS, f"{name} {vr.decode()}", level() + key(tag, vr, pattern), served)
              for name, pattern in PATTERNS.items()
              for tag, vr in ((DESCRIPTION, b"LO"), (NAME, b"PN"), (PATIENT_ID, b"LO"))]

HIERARCHY = "level and the keys above it"
LEVELS = [Asked(HIERARCHY, repr(name), level(name) + key(STUDY, b"UI", b"1.2.3\0"), mismatch) for name in (
    b"", b"PATIENT ", b"INSTANCE", b"*", b"S*", b"STUDY\\SERIES", b"\0" * 6, b"';--", b"STUDY\0SERIES", b"\xff\xfe",
    b"STUDY" * 1000)]
KEYS = [Asked(HIERARCHY, f"{at.decode().strip()} {keys!r}"[:60], level(at) + keys, mismatch) for at, keys in [
    (at, keys) for at in (b"SERIES", b"IMAGE ") for keys in (
        b"", key(STUDY, b"UI"), key(STUDY, b"UI", b"1.2\\1.3 "), key(STUDY, b"UI", b"*"), key(STUDY, b"UI", b"1.?"),
        key(STUDY, b"UI", b"1.2*"))] + [
    (b"IMAGE ", key(STUDY, b"UI", b"1.2.3 ") + keys) for keys in (
        b"", key(SERIES, b"UI"), key(SERIES, b"UI", b"1.2\\1.3"), key(SERIES, b"UI", b"*"))]]
MISSING = [Asked(HIERARCHY, "no level at all", key(NAME, b"PN", PATIENT_NAME), mismatch),
           Asked(HIERARCHY, "an empty identifier", b"", not_understood)]

LIMIT = "lists and identifiers beyond the limit"


def uids(count: int) -> bytes:
    """So many short ones."""
    return b"\\".join(b"1.%d" % n for n in range(count))


def long_identifier(length: int, write=explicit) -> bytes:
    """So many bytes of a query that matches nothing, by a key that nobody keeps."""
    head = level(write=write) + write(STUDY, b"UI", b"9.9.9\0")
    return head + write(WORDS, b"UT", b" " * (length - len(head) - len(write(WORDS, b"UT"))))


LISTS = [
    Asked(LIMIT, f"{count} UIDs {name}", level(write=write) + key(STUDY, b"UI", value, write), status,
          transfer_syntax=syntax)
    for name, count, value, status, write, syntax in (
        ("are allowed", 10_000, uids(10_000), served, implicit, IMPLICIT_VR_LE),
        ("are too many", 10_001, uids(10_001), too_much, implicit, IMPLICIT_VR_LE),
        ("are far too many", 100_000, uids(100_000), too_much, implicit, IMPLICIT_VR_LE),
        ("are more than the identifier may hold", 200_000, uids(200_000), too_much, implicit, IMPLICIT_VR_LE),
        ("that are empty", 60_000, b"\\" * 59_999, either, explicit, EXPLICIT_VR_LE))
] + [Asked(LIMIT, f"a list of {count} names", level() + key(NAME, b"PN", b"\\".join([b"x*"] * count)), either)
     for count in (1000, 10_001)]
LENGTHS = [
    Asked(LIMIT, f"{length} bytes", long_identifier(length), status) for length, status in (
        (MEBIBYTE, served), (MEBIBYTE + 2, too_much), (10_000_000, too_much))
] + [Asked(LIMIT, f"{length} bytes, implicit VR", long_identifier(length, implicit), status,
           transfer_syntax=IMPLICIT_VR_LE) for length, status in ((MEBIBYTE, served), (MEBIBYTE + 2, too_much))]

MALFORMED = "malformed identifiers"
GOOD = identifier(key(DESCRIPTION, b"LO", KNEECAP), explicit(STUDY, b"UI", b"9.9.9\0"))
GOOD_KEYS = level() + key(NAME, b"PN", PATIENT_NAME)
NESTED = explicit(0x00321064, b"SQ", b"", UNDEFINED)        # Requested Procedure Code Sequence


def nested(depth: int, closed: bool) -> bytes:
    return (NESTED + item(length=UNDEFINED)) * depth + (ITEM_END + SEQUENCE_END) * (depth if closed else 0)


BROKEN = [Asked(MALFORMED, name, data, not_understood) for name, data in {
    "an element's header is cut": GOOD + b"\x20\0\x0d",
    "a value is cut": GOOD_KEYS + explicit(STUDY, b"UI", b"9.9", 64),
    "a value of length FFFFFFFF": GOOD_KEYS + explicit(WORDS, b"UT", b"", UNDEFINED),
    "a value of length FFFFFFFE": GOOD_KEYS + explicit(WORDS, b"UT", b"abcd", 0xFFFFFFFE),
    "a sequence that is never closed": GOOD_KEYS + NESTED + item(b"", UNDEFINED) + key(0x00080100, b"SH", b"x"),
    "an item longer than its sequence": GOOD_KEYS + explicit(0x00321064, b"SQ", item(b"", 900)),
    "an element longer than its item":
        GOOD_KEYS + explicit(0x00321064, b"SQ", item(explicit(0x00080100, b"SH", b"xx", 900))),
    "something else where an item is due": GOOD_KEYS + explicit(0x00321064, b"SQ", key(0x00080100, b"SH", b"x")),
    "sequences 100 000 deep": GOOD_KEYS + nested(100_000, True),
    "sequences 40 000 deep, within the limit of length": GOOD_KEYS + nested(40_000, False),
    "sequences 25 000 deep, all closed": GOOD_KEYS + nested(25_000, True),
    "a delimiter where no item is": GOOD_KEYS + ITEM_END,
    "a sequence's end where none is": GOOD_KEYS + SEQUENCE_END,
    "an element of group 0000": element(0x0100, b"\x20\0") + GOOD_KEYS,
    "an element of group 0002": explicit(0x00020010, b"UI", b"1.2\0") + GOOD_KEYS,
    "a whole command set": find_command(),
    "a command set in front": find_command() + GOOD_KEYS,
    "a file's preamble": b"\0" * 128 + b"DICM" + GOOD_KEYS,
    "the level twice": level() + level(b"IMAGE ") + key(NAME, b"PN", PATIENT_NAME),
    "a key twice": GOOD_KEYS + key(NAME, b"PN", b"Other*"),
    "a UID twice": GOOD_KEYS + explicit(STUDY, b"UI", b"9.9.9\0") * 2,
    "random bytes": bytes(range(256)) * 4,
    "64 KiB of FFh": b"\xff" * 65536,
    "zeros": b"\0" * 64,
    "text": b"GET / HTTP/1.1\r\n\r\n" + PATIENT_NAME,
    "implicit VR where explicit was agreed": implicit(LEVEL, b"CS", b"STUDY ") + implicit(NAME, b"PN", PATIENT_NAME),
    "big endian where little was agreed": big_endian(LEVEL, b"CS", b"STUDY ") + big_endian(NAME, b"PN", PATIENT_NAME),
    "two items in a sequence key": GOOD_KEYS + explicit(0x00321064, b"SQ", item() * 2),
    "100 000 items in a sequence key": GOOD_KEYS + explicit(0x00321064, b"SQ", item() * 100_000),
}.items()] + [
    Asked(MALFORMED, f"cut in {name}", whole[:cut], not_understood, transfer_syntax=syntax)
    for name, syntax, write in (("implicit VR", IMPLICIT_VR_LE, implicit), ("big endian", EXPLICIT_VR_BE, big_endian))
    for whole in (write(LEVEL, b"CS", b"STUDY ") + write(NAME, b"PN", PATIENT_NAME),) for cut in (3, 11, 17, 25)]
ODD = [Asked(MALFORMED, name, data, either, found=None) for name, data in {
    "elements out of order": explicit(STUDY, b"UI", b"9.9.9\0") + GOOD_KEYS,
    "a value of odd length": explicit(LEVEL, b"CS", b"STUDY") + explicit(STUDY, b"UI", b"9.9.9"),
    "a VR that does not exist": GOOD_KEYS + explicit(STUDY, b"ZZ", b"9.9.9\0"),
    "a name as a number": level() + explicit(NAME, b"US", b"\1\0"),
    "the level as a number": explicit(LEVEL, b"US", b"\1\0") + key(NAME, b"PN", PATIENT_NAME),
    "a date as bytes": level() + explicit(DATE, b"OB", b"\0\1"),
    "a sequence as text": level() + key(0x00321064, b"LO", b"x"),
    "text as a sequence": level() + explicit(NAME, b"SQ", item(key(NAME, b"PN", PATIENT_NAME))),
    "pixels": GOOD + explicit(0x7FE00010, b"OW", b"\0" * 1000),
    "trailing padding": GOOD + explicit(0xFFFCFFFC, b"OB", b"\0" * 100),
    "a thousand private keys": GOOD + b"".join(explicit(0x00210000 + n, b"LO", b"xy") for n in range(0x1001, 0x1400)),
}.items()]

JUNK = "junk in keys"
JUNK_KEYS = [Asked(JUNK, f"{name}", level() + data, either, found=None) for name, data in {
    "NULs in a name": explicit(NAME, b"PN", b"A\0B\0"), "a newline in a name": explicit(NAME, b"PN", b"Z\r\n^Q "),
    "terminal escapes": explicit(NAME, b"PN", b"\x1b[31mred\x1b[0m"),
    "a name of 64 KiB": key(NAME, b"PN", b"Z" * 65534), "4 000 carets": key(NAME, b"PN", b"^" * 4000),
    "4 000 equals signs": key(NAME, b"PN", b"=" * 4000), "markup": key(NAME, b"PN", b"<script>alert(1)</script>"),
    "a number with a huge exponent": key(INSTANCES, b"IS", b"1e999999999"),
    "a number of 60 000 digits": key(INSTANCES, b"IS", b"9" * 60000), "no number": key(INSTANCES, b"IS", b"many"),
    "NaN": key(INSTANCES, b"IS", b"NaN"), "an age that is none": key(AGE, b"AS", b"old "),
    "a UID of 60 000 digits": key(STUDY, b"UI", b"1" * 60000), "no UID": key(STUDY, b"UI", b"../../x;--"),
    "60 000 hyphens for a date": key(DATE, b"DA", b"-" * 60000), "no date": key(DATE, b"DA", BIRTH_DATE + b"x"),
    "a date of year 0": key(DATE, b"DA", b"00000000-99999999"), "no time": key(TIME, b"TM", b"999999"),
    "6 000 dates": key(DATE, b"DA", b"\\".join([b"20200101"] * 6000)), "Latin-1": key(NAME, b"PN", b"M\xfcller*"),
    "no text at all": key(NAME, b"PN", bytes(range(128, 256))), "half a letter": key(NAME, b"PN", b"A\xe3\x81*"),
}.items()] + [
    Asked(JUNK, f"character set {name}", explicit(CHARACTER_SET, b"CS", declared) + level() + key(NAME, b"PN", name_),
          either, found=None)
    for name, declared, name_ in (
        ("unknown", b"ISO_IR 9999 ", b"M\xfcller*"), ("empty", b"", b"Abc*"), ("junk", b"\xff\xfe\\\x1b", b"Abc*"),
        ("1 000 times", b"\\ISO 2022 IR 87" * 1000, b"Abc*"), ("unterminated", b"\\ISO 2022 IR 87", b"A^B=\x1b$B;3ED*"),
        ("escape at the end", b"\\ISO 2022 IR 87", b"A^B\x1b"), ("unknown escape", b"\\ISO 2022 IR 87", b"A\x1b%/1B"),
        ("half a letter", b"ISO_IR 192", b"A\xe3\x81*"), ("nothing but escapes", b"\\ISO 2022 IR 87",
                                                         b"\x1b$B\x1b(B" * 500))]
TABLES = [LITERALS, MANY_STARS, LEVELS, KEYS, MISSING, LISTS, LENGTHS, BROKEN, ODD, JUNK_KEYS]


@table(*TABLES)
def test_query(server, case):
    run_query(server, case)


@covers(LITERAL)
@pytest.mark.parametrize("pattern, found", [(b"Kneecap of the mayor", True), (b"Kneecap?of*", True),
                                            (b"Kneecap_of*", False), (b"Kneecap%", False), (b"[K]neecap*", False)])
def test_wildcards_are_only_two(server, pattern, found):
    identity = new_identity()
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        peer.send(store(identity.instance, dataset(identity)))
        assert peer.status() == 0
        server.keep(identity)
        peer.send(find(level() + key(DESCRIPTION, b"LO", pattern) + explicit(STUDY, b"UI", identity.study.encode()
                                                                             + b"\0" * (len(identity.study) % 2)), 2))
        server.others_are_served()
        assert answers(peer, 2) == (int(found), SUCCESS)
        peer.release()
    server.lines.expect("released", number=None)


@covers(STARS)
@pytest.mark.parametrize("pattern", [b"*a" * 30 + b"*b", b"*" + b"a*" * 400 + b"!", b"?*" * 300 + b"!"])
def test_wildcards_against_a_value_made_for_them(server, pattern):
    """A thousand letters a: whoever backtracks is busy until the sun goes out."""
    identity = new_identity()
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        peer.send(store(identity.instance, dataset(identity, {DESCRIPTION: (b"LO", b"a" * 1000),
                                                              NAME: (b"PN", b"a" * 1000)})))
        assert peer.status() == 0
        server.keep(identity)       # the same patient id: the same patient, and a flag
        for message, (tag, vr) in enumerate(((DESCRIPTION, b"LO"), (NAME, b"PN")), 2):
            peer.send(find(level() + key(tag, vr, pattern), message))
            assert answers(peer, message) == (0, SUCCESS)
        server.others_are_served()
        peer.release()
    server.lines.expect("released", number=None)


@covers(LIMIT)
@pytest.mark.parametrize("length, right", [(4096, served), (4098, too_much)], ids=["just below", "just above"])
def test_the_configured_limit_of_an_identifier(tight, length, right):
    with Peer(tight.port) as peer:
        peer.associate(find_rq())
        peer.send(find(long_identifier(length)))
        tight.others_are_served()
        _, status = answers(peer)
        assert right(status)
        peer.release()
    tight.lines.expect(number=None if status else 0)


@covers(LIMIT)
def test_an_identifier_that_never_ends(server):
    """It is not kept, however long it goes on."""
    piece = p_data(pdv(FIND, DATASET, b" " * 16000))
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        peer.send(p_data(pdv(FIND, COMMAND | LAST, find_command())))
        peer.send(p_data(pdv(FIND, DATASET, level() + explicit(WORDS, b"UT", b"", 0x70000000))), piece * 2000)
        server.others_are_served()
        peer.reset()
    server.lines.expect(number=None)


COMMANDS = "C-FIND commands that are wrong"


@covers(COMMANDS)
@pytest.mark.parametrize("context_id, sop_class, right", [
    (FIND, VERIFICATION, (NOT_THIS_CLASS,)), (FIND, "1.2.840.10008.5.1.4.1.2.1.1", (NOT_THIS_CLASS,)),
    (FIND, "1.2.840.10008.5.1.4.31", (NOT_THIS_CLASS,)), (FIND, "9.9.9", (NOT_THIS_CLASS,)),
    (FIND, None, (NOT_THIS_CLASS, 0xA900)), (FIND, "x" * 64, (NOT_THIS_CLASS,)),
    (ECHO, VERIFICATION, (NOT_THIS_CLASS, 0x0211)), (STORE, SECONDARY_CAPTURE, (NOT_THIS_CLASS, 0x0211)),
    (STORE, "1.2.840.10008.5.1.4.1.2.2.1", (NOT_THIS_CLASS, 0x0211)),
], ids=str)
def test_another_class(server, context_id, sop_class, right):
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        peer.send(find(GOOD, context_id=context_id, sop_class=sop_class), echo(2))
        server.others_are_served()
        assert peer.status() in right
        assert peer.status() == 0
        peer.release()
    server.lines.expect(number=None)


@covers(COMMANDS)
def test_a_store_on_the_context_of_queries(server):
    identity = new_identity()
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        stored = store(identity.instance, dataset(identity))
        peer.send(b"".join(_moved(stored)), echo(2))
        server.others_are_served()
        assert peer.status() in (NOT_THIS_CLASS, 0x0211)
        assert peer.status() == 0
        peer.release()
    server.lines.expect(number=None)


def _moved(message: bytes) -> list[bytes]:
    """The PDUs of one PDV each, on the context of queries."""
    ends = [0]
    while ends[-1] < len(message):
        ends.append(ends[-1] + 6 + int.from_bytes(message[ends[-1] + 2:ends[-1] + 6], "big"))
    return [message[begin:begin + 10] + bytes((FIND,)) + message[begin + 11:end]
            for begin, end in itertools.pairwise(ends)]


@covers(COMMANDS)
@pytest.mark.parametrize("priority", [1, 2, 3, 0xFFFF, None])
def test_priorities(server, priority):
    """There is one only."""
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        peer.send(find(NOTHING, priority=priority))
        server.others_are_served()
        assert answers(peer) == (0, SUCCESS)
        peer.release()
    server.lines.expect("released", number=None)


@covers(COMMANDS)
def test_no_identifier(server):
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        peer.send(p_data(pdv(FIND, COMMAND | LAST, find_command(kind=0x0101))), echo(2))
        server.others_are_served()
        assert not_understood(peer.status())
        assert peer.status() == 0
        peer.release()
    server.lines.expect(number=None)


@covers(COMMANDS)
def test_elements_that_a_query_does_not_have(server):
    """Move Destination, an Affected SOP Instance UID, a number of sub-operations: nobody looks at them."""
    more = element(0x0600, b"NOWHERE ") + us(0x0700, 0) + us(0x0800, 1)
    begin = find_command()
    command = begin[:begin.index(us(0x0700, 0))] + more + element(0x1000, b"1.2.3\0") + us(0x1020, 7)
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        peer.send(p_data(pdv(FIND, COMMAND | LAST, command)), p_data(pdv(FIND, DATASET | LAST, NOTHING)))
        server.others_are_served()
        assert answers(peer) == (0, SUCCESS)
        peer.release()
    server.lines.expect("released", number=None)


@covers(COMMANDS)
def test_a_query_in_pieces_of_one_byte(server):
    data = find(NOTHING)
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        peer.send_by_one(data)
        peer.send(p_data(pdv(FIND, COMMAND | LAST, find_command(2))), *(
            p_data(pdv(FIND, DATASET | (LAST if at == len(NOTHING) - 1 else 0), NOTHING[at:at + 1]))
            for at in range(len(NOTHING))))
        server.others_are_served()
        assert [answers(peer, 1), answers(peer, 2)] == [(0, SUCCESS)] * 2
        peer.release()
    server.lines.expect("released", number=None)


@covers(COMMANDS)
def test_a_query_without_its_context(server):
    with Peer(server.port) as peer:
        peer.associate(storage_rq())
        peer.send(p_data(pdv(FIND, COMMAND | LAST, find_command())))
        server.others_are_served()
        assert peer.outcome()[0] == "aborted"
    server.lines.expect(number=None)
