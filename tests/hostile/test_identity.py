"""Datasets that are not what their command says, and UIDs that are none."""
from __future__ import annotations

import pytest

from tests.hostile.cases import Stored, covers, dataset_with, failure, mismatch, run_store, success, table
from tests.hostile.objects import ROOT, SERIES, SOP_CLASS, SOP_INSTANCE, STUDY, Identity, dataset, new_identity, uid
from tests.hostile.peer import Peer, storage_rq, store

ROW = "identity differs or is missing"
MISMATCHES = [
    Stored(ROW, name, dataset_with(changed), mismatch) for name, changed in {
        "SOP Instance UID differs": {SOP_INSTANCE: (b"UI", uid(f"{ROOT}.0.1"))},
        "SOP Instance UID is longer by one": {SOP_INSTANCE: (b"UI", uid(f"{ROOT}.0.11"))},
        "SOP Class UID differs": {SOP_CLASS: (b"UI", uid("1.2.840.10008.5.1.4.1.1.2"))},
        "no SOP Instance UID": {SOP_INSTANCE: None}, "no SOP Class UID": {SOP_CLASS: None},
        "no Study Instance UID": {STUDY: None}, "no Series Instance UID": {SERIES: None},
        "neither": {STUDY: None, SERIES: None},
        "empty SOP Instance UID": {SOP_INSTANCE: (b"UI", b"")}, "empty SOP Class UID": {SOP_CLASS: (b"UI", b"")},
        "empty Study Instance UID": {STUDY: (b"UI", b"")}, "empty Series Instance UID": {SERIES: (b"UI", b"")},
        "Study Instance UID of padding": {STUDY: (b"UI", b"\0\0")},
    }.items()
] + [Stored(ROW, "nothing at all", lambda identity: b"", mismatch)]

NO_UID = "UIDs that are none"
BAD_UIDS = {"a way up": b"../../../../tmp/x1", "dots": b"..", "dot": b".", "slash": b"1.2/3.4",
            "absolute": b"/etc/passwd",
            "NUL inside": b"1.2\x003.4", "65 characters": (b"1.2." + b"3" * 61), "66 characters": b"1.2." + b"3" * 62,
            "1 000 characters": b"1.2." + b"3" * 996, "letters": b"intake", "another folder of ours": b"../intake/1",
            "ends with a dot": b"1.2.3.", "begins with a dot": b".1.2.3", "two dots": b"1.2..3",
            "space inside": b"1.2 3.4",
            "newline": b"1.2\n3.4", "bytes above 80h": b"1.2.\xff\xfe", "two values": b"1.2.3\\1.2.4",
            "negative": b"-1.2",
            "lock": b"lock", "percent": b"1.2%2f3.4", "wildcard": b"1.2.*"}
IN_THE_DATASET = [
    Stored(NO_UID, f"{name}, as {level}", dataset_with({tag: (b"UI", value + b"\0" * (len(value) % 2))}), mismatch)
    for level, tag in (("study", STUDY), ("series", SERIES), ("instance", SOP_INSTANCE))
    for name, value in BAD_UIDS.items()
]
GOOD_UIDS = [
    Stored(NO_UID, "padded with a space", lambda identity: dataset(identity, {
        SERIES: (b"UI", f"{identity.series} ".encode())}), success),
    Stored(NO_UID, "padded twice", lambda identity: dataset(identity, {
        SOP_INSTANCE: (b"UI", identity.instance.encode() + b"\0\0")}), success),
    Stored(NO_UID, "not padded", lambda identity: dataset(identity, {
        SOP_INSTANCE: (b"UI", identity.instance.encode()), STUDY: (b"UI", identity.study.encode())}), success),
]
TABLES = [MISMATCHES, IN_THE_DATASET, GOOD_UIDS]


@table(*TABLES)
def test_identity(server, case):
    run_store(server, case)


@covers(NO_UID)
@pytest.mark.parametrize("length, stored", [(64, True), (65, False)], ids=["just below", "just above"])
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_the_length_of_a_uid(server, level, length, stored):
    fresh = new_identity()
    uids = {"study": fresh.study, "series": fresh.series, "instance": fresh.instance}
    uids[level] = (uids[level] + "." + "9" * 64)[:length]
    identity = Identity(**uids)
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(store(identity.instance, dataset(identity)))
        server.others_are_served()
        status = peer.status()
        peer.release()
    assert (success if stored else failure)(status)
    if stored:
        server.keep(identity)
    server.lines.expect("released", number=1 if stored else 2)


@covers(NO_UID)
@pytest.mark.parametrize("name", [name for name in BAD_UIDS if name not in ("bytes above 80h", "1 000 characters")])
def test_uids_of_the_command(server, name):
    """Whatever the dataset says, which agrees."""
    identity = new_identity()
    text = BAD_UIDS[name].decode()
    with Peer(server.port) as peer:
        peer.associate(storage_rq())
        peer.send(store(text, dataset(identity, {SOP_INSTANCE: (b"UI", uid(text))})))
        server.others_are_served()
        assert failure(peer.status())
        peer.release()
    server.lines.expect("released", "refused", number=2)


@covers(NO_UID)
@pytest.mark.parametrize("instance", ["", None], ids=["empty", "absent"])
def test_no_uid_in_the_command(server, instance):
    identity = new_identity()
    with Peer(server.port) as peer:
        peer.associate(storage_rq())
        peer.send(store(instance, dataset(identity)))
        server.others_are_served()
        assert failure(peer.status())
        peer.release()
    server.lines.expect("released", "refused", number=2)
