"""C-GET and C-MOVE where one of the three that take part does not do what it should."""
from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.hostile.cases import LogLines, covers
from tests.hostile.objects import PATIENT_ID, ROOT, Identity, dataset, explicit, uid
from tests.hostile.peer import SECONDARY_CAPTURE, Peer, storage_rq, store
from tests.hostile.server import Server, wait_until
from tests.interop.destination import Destination, abort, hang_up, nothing, reset, rubbish, stranger
from tests.interop.find.keys import EXPLICIT, IMPLICIT
from tests.interop.retriever import C_GET_RQ, GET, MOVE, Retriever, command
from tests.interop.sender import Ended

NOWHERE = "C-MOVE to whom the table does not know"
TROUBLE = "destination that is down, silent, refuses or hangs"
AWAY = "requester that goes away or cancels"
ROLES = "C-GET without role selection or contexts"
SYNTAX = "another transfer syntax than the stored one"
KEYS = "keys of a retrieval that are wrong"
DAMAGED = "damaged or deleted meanwhile"

COUNT, LARGE = 20, 24 << 20
SMALL = [Identity(f"{ROOT}.8001", f"{ROOT}.8001.1", f"{ROOT}.8001.1.{number}") for number in range(1, COUNT + 1)]
BIG = Identity(f"{ROOT}.8002", f"{ROOT}.8002.1", f"{ROOT}.8002.1.1")
STUDY, BIG_STUDY = {"StudyInstanceUID": SMALL[0].study}, {"StudyInstanceUID": BIG.study}
STORAGE = [(SECONDARY_CAPTURE, EXPLICIT)]
ALL = (0, (None, COUNT, 0, 0))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory):
    """A server with two studies and one destination, THERE; it waits a second for peers."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    server = Server(tmp_path_factory.mktemp("filled"), verbose=True, idleTimeoutSeconds=1, writeTimeoutSeconds=1,
                    knownDestinations={"THERE": {"host": "127.0.0.1", "port": port}},
                    getWithoutRoleSelection=["ROLELESS"])
    server.there = port
    with Peer(server.port) as peer:
        peer.associate(storage_rq())
        for identity in (*SMALL, BIG):
            pixels = explicit(0x7FE00010, b"OW", bytes(LARGE)) if identity is BIG else b""
            peer.send(store(identity.instance, dataset(identity, tail=pixels), longest=16384))
            assert peer.status() == 0
            server.keep(identity)
        peer.release()
    server.wait_until_filed()
    for _ in range(2):      # what was used once is no leak
        # Side by side: none may be silent for a second.
        with Destination(port=port), ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: move_both(server), range(8)))
    server.take_baseline()
    yield server
    server.stop()


def move_both(server) -> None:
    with moving(server) as asker:
        assert asker.move("STUDY", STUDY, "THERE").outcome == ALL
        assert asker.move("STUDY", BIG_STUDY, "THERE").status == 0


@pytest.fixture
def server(filled):
    """After the test nothing is left of it."""
    filled.begin_case()
    filled.lines = LogLines()
    filled.lines.expect(number=None)
    yield filled
    filled.check(filled.lines)


def moving(server, **more) -> Retriever:
    return Retriever(server.port, MOVE["study"], calling="HOSTILE", called="HOSTILE_SCP", timeout=20, **more)


def getting(server, storage=STORAGE, calling: str = "HOSTILE", **more) -> Retriever:
    return Retriever(server.port, GET["study"], storage, calling=calling, called="HOSTILE_SCP", timeout=20, **more)


@covers(NOWHERE)
@pytest.mark.parametrize("name", ["ELSEWHERE", "", "{here}", "{there}", "HOSTILE_SCP", "there", "THERE\\THERE", "*",
                                  "../x", "A" * 16, "127.0.0.1", "localhost:104"])
def test_only_the_table_counts(server, name):
    with Destination(port=server.there) as there, moving(server) as asker:
        name = name.format(here=f"127.0.0.1:{server.port}", there=f"127.0.0.1:{server.there}")[:16]
        found = asker.move("STUDY", STUDY, name)
        server.others_are_served()
        assert (found.status, found.dataset) == (0xA801, None)
        assert not there.reached.is_set()


HOWS = {"rejects": {"rejected": (1, 1, 7)}, "rejects for now": {"rejected": (2, 3, 2)}, "is mute": {"mute": True},
        "refuses the class": {"refused": [SECONDARY_CAPTURE]},
        "refuses the syntaxes": {"refused": [EXPLICIT, IMPLICIT]},
        "has no room for a fragment": {"maximum": 7}}


@covers(TROUBLE)
def test_down(server):
    with moving(server) as asker:
        found = asker.move("STUDY", STUDY, "THERE")
        server.others_are_served()
        assert found.outcome == (0xA702, (None, 0, COUNT, 0)) and len(found.failed) == COUNT
    server.lines.expect("cannot be reached", number=None)


@covers(TROUBLE)
@pytest.mark.parametrize("how", HOWS)
def test_takes_nothing(server, how):
    with Destination(port=server.there, **HOWS[how]), moving(server) as asker:
        message = asker.begin("STUDY", STUDY, "THERE")
        server.others_are_served()
        found = asker.finish(message)
        assert found.outcome == (0xA702, (None, 0, COUNT, 0)) and len(found.failed) == COUNT
        assert asker.move("STUDY", {"StudyInstanceUID": "9.9"}, "THERE").status == 0


@covers(TROUBLE)
@pytest.mark.parametrize("after", [0, 1, COUNT - 1])
@pytest.mark.parametrize("deed", [abort, hang_up, reset, nothing, rubbish, stranger], ids=lambda deed: deed.__name__)
def test_ends_in_the_middle(server, deed, after):
    with Destination([0] * after + [deed], port=server.there), moving(server) as asker:
        message = asker.begin("STUDY", STUDY, "THERE")
        server.others_are_served()
        found = asker.finish(message)
        assert found.outcome == (0xB000 if after else 0xA702, (None, after, COUNT - after, 0))
        assert found.failed == [identity.instance for identity in SMALL[after:]]


@covers(TROUBLE)
@pytest.mark.parametrize("maximum", [8, 128, 0])
def test_any_length_of_pdus(server, maximum):
    with Destination(port=server.there, maximum=maximum) as there, moving(server) as asker:
        assert asker.move("STUDY", STUDY, "THERE").outcome == ALL
        server.others_are_served()
        assert [one.dataset for one in there.stored] == [dataset(identity) for identity in SMALL]


@covers(TROUBLE)
def test_stops_reading(server):
    with Destination(port=server.there, unread=True), moving(server) as asker:
        message = asker.begin("STUDY", BIG_STUDY, "THERE")
        server.others_are_served()
        assert asker.finish(message).outcome == (0xA702, (None, 0, 1, 0))
    server.lines.expect("did not take what we sent", number=None)


@covers(TROUBLE)
def test_never_confirms_the_release(server):
    with Destination(port=server.there, release=False), moving(server) as asker:
        message = asker.begin("STUDY", STUDY, "THERE")
        server.others_are_served()
        assert asker.finish(message).outcome == ALL


@covers(TROUBLE)
def test_one_that_hangs_costs_only_its_own_move(server):
    with Destination([nothing], port=server.there) as there, contextlib.ExitStack() as peers:
        askers = [peers.enter_context(moving(server)) for _ in range(5)]
        waiting = [(asker, asker.begin("STUDY", STUDY, "THERE")) for asker in askers]
        assert there.reached.wait(20)
        server.others_are_served()
        with getting(server) as other:
            assert other.get("STUDY", STUDY).outcome == ALL
        for asker, message in waiting:
            assert asker.finish(message).outcome == (0xA702, (None, 0, COUNT, 0))


GOING = {"A-ABORT": abort, "FIN": hang_up, "RST": reset, "rubbish": rubbish}


@covers(AWAY)
@pytest.mark.parametrize("end", GOING)
@pytest.mark.parametrize("at", [0, 5])
def test_the_requester_of_a_move_goes_away(server, end, at):
    asker = moving(server)
    with Destination(port=server.there, before=lambda number: number == at and GOING[end](asker.socket)) as there:
        asker.begin("STUDY", STUDY, "THERE")
        server.others_are_served()
        assert there.wait_for_endings(1) == [7]
        assert len(there.stored) < COUNT
    asker.close()


@covers(AWAY)
@pytest.mark.parametrize("end", GOING)
@pytest.mark.parametrize("keys", [STUDY, BIG_STUDY], ids=["small", "large"])
def test_the_requester_of_a_get_goes_away(server, end, keys):
    with contextlib.closing(getting(server, receive_buffer=4096)) as asker:
        asker.begin("STUDY", keys)
        assert asker.receive()[0] == 4
        GOING[end](asker.socket)
        server.others_are_served()


@covers(AWAY)
def test_the_requester_of_a_get_stops_reading(server):
    with contextlib.closing(getting(server, receive_buffer=4096)) as asker:
        asker.begin("STUDY", BIG_STUDY)
        server.others_are_served()
        wait_until(lambda: any("takes no data" in line for line in server.log_lines()), "it waits for ever")
    server.lines.expect("takes no data", number=None)


@covers(AWAY)
def test_no_answer_to_a_sub_operation(server):
    with contextlib.closing(getting(server)) as asker:
        asker.begin("STUDY", STUDY)
        next(asker.messages())
        server.others_are_served()
        assert asker.receive()[0] == 7


@covers(AWAY)
@pytest.mark.parametrize("wrong", [0, 1])
@pytest.mark.parametrize("after", [1, 7, COUNT])
def test_cancels_a_get(server, after, wrong):
    with getting(server) as asker:
        found = asker.get("STUDY", STUDY, cancel_after=after, cancelled=wrong)
        server.others_are_served()
        late = after == COUNT or wrong
        assert found.outcome == (ALL if late else (0xFE00, (COUNT - after, after, 0, 0)))
        assert asker.get("STUDY", STUDY).outcome == ALL


@covers(AWAY)
def test_cancels_a_move(server):
    with moving(server) as asker:
        with Destination(port=server.there, before=lambda number: number == 3 and asker.cancel(1)) as there:
            found = asker.move("STUDY", STUDY, "THERE")
            server.others_are_served()
            assert found.status == 0xFE00 and found.counters[0] + found.counters[1] == COUNT
            assert there.wait_for_endings(1) == [5]
        asker.cancel(1)


@covers(AWAY)
@pytest.mark.parametrize("message", [1, 2])
def test_talks_while_it_is_served(server, message):
    """The window is one operation: a request of the same id is refused (0210), another one ends the association, but
    for one that comes when nobody looks any more: that one is served."""
    with Destination([nothing], port=server.there), contextlib.closing(moving(server)) as asker:
        asker.begin("STUDY", STUDY, "THERE")
        asker.begin("STUDY", STUDY, "THERE", message=message)
        server.others_are_served()
        try:
            assert asker.finish(1).status in (0x0210, 0xA702)
        except Ended as ended:
            assert (message, ended.args[0]) == (2, 7)


@covers(ROLES)
@pytest.mark.parametrize("storage, roles", [
    (STORAGE, False), ([], True), ([("1.2.840.10008.5.1.4.1.1.2", EXPLICIT)], True)])
def test_nothing_is_sent_that_was_not_negotiated(server, storage, roles):
    with getting(server, storage, roles=roles) as asker:
        found = asker.get("STUDY", STUDY)
        server.others_are_served()
        assert found.stored == [] and found.outcome == (0xA702, (None, 0, COUNT, 0))
        assert found.failed == [identity.instance for identity in SMALL]
    server.lines.expect("role selection", number=None)


@covers(ROLES)
def test_whom_the_table_knows_needs_no_roles(server):
    with getting(server, roles=False, calling="ROLELESS") as asker:
        assert asker.get("STUDY", STUDY).outcome == ALL
        server.others_are_served()


@covers(KEYS)
@pytest.mark.parametrize("level, keys", [
    (None, STUDY), ("PATIENT", {"PatientID": PATIENT_ID.decode()}), ("IMAGES", STUDY), ("STUDY", {}),
    ("STUDY", {"StudyInstanceUID": ""}), ("SERIES", {"SeriesInstanceUID": SMALL[0].series}),
    ("SERIES", {"StudyInstanceUID": "*", "SeriesInstanceUID": SMALL[0].series}),
    ("IMAGE", {**STUDY, "SeriesInstanceUID": "1\\2", "SOPInstanceUID": SMALL[0].instance})], ids=str)
def test_wrong_keys(server, level, keys):
    with Destination(port=server.there) as there, moving(server) as asker, getting(server) as getter:
        server.others_are_served()
        assert asker.move(level, keys, "THERE").status == getter.get(level, keys).status == 0xA900
        assert not there.reached.is_set()


@covers(KEYS)
@pytest.mark.parametrize("identifier", [
    b"", b"\0", b"\xff" * 100, explicit(0x00080052, b"CS", b"STUDY ") + b"\x20\0\x0d\0UI\xff\xff",
    explicit(0x00080052, b"CS", b"STUDY ") + explicit(0x0020000D, b"UI", uid("1.2\\" * 20000 + "3")[:65534])])
def test_malformed_identifiers(server, identifier):
    with getting(server) as asker:
        message = asker.begin(None, {})
        assert asker.finish(message).status == 0xA900
        asker.request(1, command({2: uid(GET["study"]), 0x100: C_GET_RQ.to_bytes(2, "little"), 0x110: b"\x07\0",
                                  0x700: b"\0\0", 0x800: b"\1\0"}))
        asker.send_dataset(1, identifier)
        server.others_are_served()
        assert asker.finish(7).status in (0xA900, 0xC000, 0xA700)


@covers(KEYS)
@pytest.mark.parametrize("text", ["' OR 1=1--", "%", "*", "1.2' UNION SELECT 1", "_" * 40, "?" * 40])
def test_what_matches_nothing(server, text):
    with getting(server) as asker:
        server.others_are_served()
        found = asker.get("STUDY", {"StudyInstanceUID": text})
        assert found.stored == [] and found.status in (0, 0xA900)


@covers(SYNTAX)
def test_never_wrong_bytes(server):
    """What the peer accepts is not what is stored: sent in a conversion without loss, or not at all."""
    with getting(server, [(SECONDARY_CAPTURE, IMPLICIT)]) as asker:
        found = asker.get("STUDY", STUDY)
        server.others_are_served()
        assert found.counters[1] == len(found.stored)
        assert found.counters[1] + found.counters[2] == COUNT
        assert {one.syntax for one in found.stored} <= {IMPLICIT}
        assert all(one.dataset != dataset(identity) for one, identity in zip(found.stored, SMALL))


@pytest.fixture
def damaged(server):
    """Flips a bit of a stored file, and flips it back after the test."""
    flipped = []

    def flip(identity: Identity) -> None:
        path = server.data / identity.path
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        if path in flipped:
            flipped.remove(path)
        else:
            flipped.append(path)
            identities.append(identity)
    identities: list[Identity] = []
    yield flip
    for identity in identities:
        flip(identity)


@covers(DAMAGED)
def test_a_flipped_bit(server, damaged):
    damaged(SMALL[3])
    with Destination(port=server.there) as there, moving(server) as asker, getting(server) as getter:
        found = asker.move("STUDY", STUDY, "THERE")
        assert (found.outcome, found.failed) == ((0xB000, (None, COUNT - 1, 1, 0)), [SMALL[3].instance])
        found = getter.get("STUDY", STUDY)
        assert (found.outcome, found.failed) == ((0xB000, (None, COUNT - 1, 1, 0)), [SMALL[3].instance])
        server.others_are_served()
        right = [dataset(identity) for identity in SMALL if identity != SMALL[3]]
        assert [one.dataset for one in there.stored] == [one.dataset for one in found.stored] == right


@covers(DAMAGED)
def test_a_flipped_bit_in_a_large_file(server, damaged):
    """Part of it is on its way when that comes out: the last fragment never is."""
    damaged(BIG)
    both = {"StudyInstanceUID": f"{BIG.study}\\{SMALL[0].study}"}
    with Destination(port=server.there) as there, moving(server) as asker:
        found = asker.move("STUDY", both, "THERE")
        server.others_are_served()
        assert (found.outcome, found.failed) == ((0xB000, (None, COUNT, 1, 0)), [BIG.instance])
        assert len(there.stored) == COUNT
    server.lines.expect("have changed since they were stored", number=None)
