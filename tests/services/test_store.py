"""C-STORE: every status, what is left behind with each, and that the association goes on."""
from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import pytest

from dicomserver.archive.errors import IntakeBusy, IntakeFull, IntakeRefused
from dicomserver.archive.intake import Slot
from dicomserver.archive.preamble import unpack
from dicomserver.index import IndexFull, IndexUnavailable, Instance, OutcomeUnknown
from dicomserver.archive.claims import ClaimTaken
from dicomserver.archive.writer import DatasetWriter
from dicomserver.services.describe import ScanLimits, scanner_for
from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.window import NotBegun
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.part10 import decode_file_meta
from dicomserver.wire.scanner import DatasetScanner
from tests.archive.test_intake import fail_late
from tests.interop.sender import Response, Sender, command_set, data_tf
from tests.interop.stored import Sent, dataset_of
from tests.interop.synthetic import CT, EXPLICIT, element, instance

pytestmark = pytest.mark.parametrize("provider", ["memory", "file"], indirect=True)

MR, VERIFICATION = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.1"
CONTEXTS = [(CT, [EXPLICIT]), (MR, [EXPLICIT]), (VERIFICATION, [EXPLICIT])]


class Faulty:
    """Another room, but for the methods that a test replaces."""

    def __init__(self, real: object, **replaced) -> None:
        self._real = real
        self.__dict__.update(replaced)

    def __getattr__(self, name: str):
        return getattr(self._real, name)


def failing(error: Exception):
    def fail(*_: object, **__: object) -> None:
        raise error
    return fail


def store(provider, sent: Sent, **changes: str) -> Response:
    """Sends it, and proves that the association goes on whatever the answer is."""
    with Sender(provider.port, CONTEXTS) as association:
        response = association.store(1, changes.get("sop_class", sent.sop_class),
                                     changes.get("sop_instance", sent.sop_instance), sent.dataset)
        assert association.echo(5) == 0
    return response


def folder(provider, name: str) -> list[Path]:
    """What is in a folder of the archive, but for slots that nothing was written to."""
    return [path for path in Path(provider.archive.path, name).iterdir() if path.stat().st_size]


def left_behind(provider) -> tuple[int, int, int]:
    """Rows, files in the intake, files in quarantine."""
    return (provider.index.counts().instances, len(folder(provider, "intake")),
            len([path for path in folder(provider, "quarantine") if path.suffix == ".dcm"]))


def test_an_instance_is_in_a_slot_and_has_a_row(provider) -> None:
    sent = instance(1, 1)
    assert store(provider, sent).status == 0
    (path,) = folder(provider, "intake")
    assert dataset_of(path) == sent.dataset
    meta = decode_file_meta(path.read_bytes())
    assert (meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid) == (CT, sent.sop_instance, EXPLICIT)
    assert (meta.source_ae, meta.sending_ae, meta.receiving_ae) == ("INTEROP", "INTEROP", "ANY-SCP")
    row = provider.index.find(sent.sop_instance)
    assert (row.study_instance_uid, row.series_instance_uid) == (sent.study, sent.series)
    assert (row.file_length, row.dataset_offset) == (path.stat().st_size, meta.dataset_offset)
    (waiting,) = provider.waiting
    assert (waiting.slot, waiting.sop_instance_uid, waiting.file_length) == (
        row.slot, sent.sop_instance, row.file_length)
    assert provider.archive.waiting == (1, row.file_length)
    assert provider.answered[0] == (0x0001, 0)


TRUNCATED = instance(1, 1).dataset[:-1]
NO_STUDY = instance(1, 1).dataset.replace(element(0x0020000D, "UI", b"1.2.826.0.1.1"), b"")
OF_MR = instance(1, 1).dataset.replace(CT.encode() + b"\0", MR.encode() + b"\0")
GROUP_2 = element(0x00020010, "UI", b"1.2") + instance(1, 1).dataset

# the dataset, what the command says otherwise, the status, a part of the Error Comment
REFUSED = {
    "truncated": (TRUNCATED, {}, 0xC000, ""),
    "no dataset at all, said to follow": (b"", {}, 0xA900, ""),
    "rubbish": (b"\xff" * 100, {}, 0xC000, ""),
    "group 0002 in the dataset": (GROUP_2, {}, 0xC000, ""),
    "without a study": (NO_STUDY, {}, 0xA900, "Study Instance UID"),
    "another SOP instance": (instance(1, 2).dataset, {}, 0xA900, "SOP Instance UID"),
    "another SOP class": (OF_MR, {}, 0xA900, "SOP Class UID"),
    "not the class of the context": (instance(1, 1).dataset, {"sop_class": MR}, 0x0122, "presentation context"),
    "an empty UID": (instance(1, 1).dataset, {"sop_instance": ""}, 0x0117, "SOP Instance UID"),
    "a path": (instance(1, 1).dataset, {"sop_instance": "../../etc/x"}, 0x0117, "SOP Instance UID"),
    "a UID that is too long": (instance(1, 1).dataset, {"sop_instance": "1." * 32 + "1"}, 0x0117, "SOP Instance UID"),
}


@pytest.mark.parametrize("dataset, changes, status, comment", REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused_leaves_nothing_behind(dataset: bytes, changes: dict, status: int, comment: str, provider,
                                               caplog) -> None:
    one = instance(1, 1)
    sent = Sent(one.study, one.series, CT, one.sop_instance, EXPLICIT, dataset)
    response = store(provider, sent, **changes)
    assert (f"{response.status:04X}", left_behind(provider)) == (f"{status:04X}", (0, 0, 0))
    assert comment in response.comment and 0 < len(response.comment) <= 64
    assert provider.waiting == []
    (line,) = [line for line in caplog.messages if "refused" in line]
    assert f"refused with {status:04X}H" in line
    assert not any(word in "".join(caplog.messages) for word in ("Doe", "PATIENT-1", one.sop_instance))


def test_a_request_without_a_dataset(provider) -> None:
    with Sender(provider.port, CONTEXTS) as association:
        association.request(1, command_set(CT, 0x0001, 1, 0x0101, "1.2.3"))
        assert association.answer().status == 0xC000
    assert left_behind(provider) == (0, 0, 0)


INTAKE = [IntakeFull("only the reserve of free space is left"), IntakeBusy("too much waits for the mover"),
          IntakeRefused("the mover cannot move")]


@pytest.mark.parametrize("error", INTAKE, ids=lambda error: type(error).__name__)
def test_no_slot(error: Exception, provider) -> None:
    real, provider.archive = provider.archive, Faulty(provider.archive, take=failing(error))
    response = store(provider, instance(1, 1))
    assert (response.status, response.comment) == (0xA700, str(error))
    provider.archive = real
    assert store(provider, instance(1, 1)).status == 0


@pytest.mark.parametrize("device, is_lone, number", [
    ("/dev/full", True, errno.ENOSPC), ("/dev/full", False, errno.ENOSPC), ("/dev/null", True, errno.EINVAL),
    ("/dev/null", False, errno.EINVAL)])
@pytest.mark.parametrize("size", [10, 3_000_000], ids=["small", "large"])
def test_a_failing_disk(device: str, is_lone: bool, number: int, size: int, provider) -> None:
    """Writing to /dev/full fails with ENOSPC; /dev/null takes everything but cannot be synced."""
    def take() -> Slot:
        slot = real.take()
        os.close(slot.fd)
        slot.fd = os.open(device, os.O_WRONLY)
        return slot

    real, provider.archive = provider.archive, Faulty(provider.archive, take=take)
    with nullcontext() if is_lone else real.claims.held("1.2.3"):
        response = store(provider, instance(1, 1, size=size))
    assert (response.status, response.comment) == (0xA700, f"writing failed: {os.strerror(number)}")
    assert left_behind(provider) == (0, 0, 0)
    provider.archive = real
    assert store(provider, instance(1, 1)).status == 0


@pytest.mark.parametrize("size, waits", [(1_000_000, True), (3_000_000, False)])
def test_the_index_waits_for_the_sync_of_a_small_file_only(size: int, waits: bool, provider) -> None:
    real, syncs = provider.index, []

    def add(one: Instance, sync: Callable[[], None] | None) -> None:
        syncs.append(sync)
        return real.add(one, sync)
    provider.index = Faulty(real, add=add)
    assert store(provider, instance(1, 1, size=size)).status == 0
    assert [sync is not None for sync in syncs] == [waits]


def test_a_sync_that_fails_while_the_row_is_made(provider, monkeypatch) -> None:
    class Writer(DatasetWriter):
        def sync(self) -> None:
            super().sync()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
    with monkeypatch.context() as patch:
        patch.setattr("dicomserver.services.store.DatasetWriter", Writer)
        for _ in range(2):
            response = store(provider, instance(1, 1))
            assert (response.status, response.comment) == (0xA700, f"writing failed: {os.strerror(errno.EIO)}")
            assert left_behind(provider) == (0, 0, 0) and not provider.waiting
    assert store(provider, instance(1, 1)).status == 0
    assert left_behind(provider) == (1, 1, 0)


def fail_to_close(monkeypatch, slot: Slot) -> Slot:
    fail_late(monkeypatch, slot)
    return slot


@pytest.mark.parametrize("dataset, answer, left", [
    (None, (0xA700, "closing a slot: No space left on device"), (1, 1, 0)), (TRUNCATED, (0xC000, None), (0, 0, 0)),
], ids=["kept", "refused"])
def test_a_disk_that_fails_at_the_close(dataset: bytes | None, answer: tuple, left: tuple, provider,
                                        monkeypatch) -> None:
    one = instance(1, 1)
    real, provider.archive = provider.archive, Faulty(provider.archive,
                                                      take=lambda: fail_to_close(monkeypatch, real.take()))
    response = store(provider, one if dataset is None else Sent(**{**asdict(one), "dataset": dataset}))
    assert (response.status, answer[1] and response.comment) == answer
    assert left_behind(provider) == left and len(provider.waiting) == left[0]
    provider.archive = real
    assert store(provider, one).status == 0
    assert left_behind(provider) == (1, 1, 0) and len(provider.waiting) == 1


def test_a_newcomer_that_fails_at_the_close_is_refused(provider, monkeypatch) -> None:
    assert store(provider, instance(1, 1)).status == 0
    real, provider.archive = provider.archive, Faulty(provider.archive,
                                                      take=lambda: fail_to_close(monkeypatch, real.take()))
    response = store(provider, instance(1, 1, comment="other"))
    assert (response.status, response.comment) == (0xA700, "setting a file aside: No space left on device")


def test_a_file_system_that_says_nothing_of_its_room(provider, monkeypatch) -> None:
    def statvfs(_: int) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    provider.archive._space._known = (float("-inf"), 0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", statvfs)
        response = store(provider, instance(1, 1))
    assert (response.status, response.comment) == (0xA700, "free space is not known: Stale file handle")
    assert store(provider, instance(1, 1)).status == 0


def test_no_thread_for_one_more_operation(provider, monkeypatch) -> None:
    one = instance(1, 1)
    with Sender(provider.port, CONTEXTS) as association:
        with monkeypatch.context() as patch:
            patch.setattr(AssociationAcceptor, "answer", failing(NotBegun("can't start new thread")))
            response = association.store(1, CT, one.sop_instance, one.dataset)
        assert (response.status, response.comment) == (0xA700, "can't start new thread")
        assert left_behind(provider) == (0, 0, 0)
        assert association.store(1, CT, one.sop_instance, one.dataset).status == 0
    assert left_behind(provider) == (1, 1, 0)


@pytest.mark.parametrize("error", [IndexUnavailable("locked"), IndexFull("no room")],
                         ids=lambda error: type(error).__name__)
def test_the_index_fails(error: Exception, provider) -> None:
    real, provider.index = provider.index, Faulty(provider.index, add=failing(error))
    assert store(provider, instance(1, 1)).status == 0xA700
    provider.index = real
    assert left_behind(provider) == (0, 0, 0)
    assert store(provider, instance(1, 1)).status == 0


def test_a_commit_of_unknown_outcome_keeps_the_file(provider) -> None:
    """The row may be there, or comes with the database; the sender is told of a failure, and may send it again."""
    real = provider.index

    def add(one: Instance, sync: Callable[[], None] | None) -> None:
        real.add(one, sync)
        raise OutcomeUnknown("the database went away in the middle of a commit")

    provider.index = Faulty(real, add=add)
    response = store(provider, instance(1, 1))
    assert response.status == 0xA700 and "went away" in response.comment
    provider.index = real
    assert left_behind(provider) == (1, 1, 0) and len(provider.waiting) == 1
    assert store(provider, instance(1, 1)).status == 0
    assert left_behind(provider) == (1, 1, 0) and len(provider.waiting) == 1


@pytest.mark.parametrize("error", [IndexFull("no room"), DatasetError("is damaged")])
def test_a_complete_slot_that_is_refused_does_not_come_back_after_a_power_cut(error: Exception, provider) -> None:
    """Its sender may send other bytes and get success for them: then two slots would have one UID."""
    discarded = []
    real = provider.archive.discard

    def discard(slot: Slot, *, durably: bool = False) -> None:
        discarded.append(durably)
        real(slot, durably=durably)

    provider.archive = Faulty(provider.archive, discard=discard)
    index, provider.index = provider.index, Faulty(provider.index, add=failing(error))
    assert store(provider, instance(1, 1)).status in (0xA700, 0xC000)
    assert store(provider, Sent(**{**asdict(instance(1, 1)), "dataset": b"cut"})).status == 0xC000
    provider.index = index
    assert discarded == [True, False]
    assert left_behind(provider) == (0, 0, 0)


def test_an_instance_that_another_association_is_storing_waits_its_turn(provider, monkeypatch) -> None:
    writers: list[DatasetWriter] = []

    class Writer(DatasetWriter):
        """Remembered, for it may keep the memory of what it received."""
        def __init__(self, reserve: int) -> None:
            writers.append(self)
    monkeypatch.setattr("dicomserver.services.store.DatasetWriter", Writer)
    monkeypatch.setattr(provider.archive, "claims", Busy())
    response = store(provider, instance(1, 1))
    assert (response.status, response.comment) == (0xA700, "another association is storing this instance")
    assert left_behind(provider) == (0, 0, 0)
    with pytest.raises(RuntimeError):
        writers[0].seal(1, 1)


def test_slots_say_their_order_across_a_reload(provider) -> None:
    """After a power cut only the first one sealed counts as acknowledged; a reload makes the service anew."""
    for number in (1, 2, 3):
        assert store(provider, instance(1, number)).status == 0     # the provider makes its services for each anew
    sealed = [unpack(path.read_bytes()) for path in folder(provider, "intake")]
    assert [one.order for one in sorted(sealed, key=lambda one: one.slot)] == [1, 2, 3]


class Busy:
    """Claims of which each is taken."""

    def take(self, _uid: str) -> None:
        raise ClaimTaken("another association is storing this instance")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("end", [b"", bytes.fromhex("07000000000400000000"), bytes.fromhex("05000000000400000000")],
                         ids=["close", "abort", "release"])
def test_a_dataset_that_breaks_off_leaves_nothing_behind(end: bytes, provider) -> None:
    association = Sender(provider.port, CONTEXTS)
    one = instance(1, 1)
    association.request(1, command_set(CT, 0x0001, 1, 1, one.sop_instance))
    association.socket.sendall(data_tf(1, 0, one.dataset[:600]) + end)
    association.close()
    assert store(provider, instance(1, 2)).status == 0      # served one after the other: the first is over
    assert left_behind(provider) == (1, 1, 0)
    assert provider.index.find(one.sop_instance) is None


def test_a_context_of_another_service_stores_nothing(provider) -> None:
    dataset = instance(1, 1).dataset.replace(element(0x00080016, "UI", CT.encode()),
                                             element(0x00080016, "UI", VERIFICATION.encode()))
    with Sender(provider.port, CONTEXTS) as association:
        response = association.store(5, VERIFICATION, instance(1, 1).sop_instance, dataset)
        assert (response.status, response.comment) == (0x0122, "SOP Class UID is not one of storage")
        assert association.echo(5) == 0
    assert left_behind(provider) == (0, 0, 0)


@pytest.mark.parametrize("role, answered", [(b"\0\1", 0x0211), (b"\1\1", 0), (b"\1\0", 0)], ids=["SCP", "both", "SCU"])
def test_who_negotiated_not_to_send_sends_nothing(role: bytes, answered: int, provider, caplog) -> None:
    sent = instance(1, 1)
    with Sender(provider.port, CONTEXTS, roles=[CT], role=role) as association:
        assert association.granted == {CT: role}
        response = association.store(1, CT, sent.sop_instance, sent.dataset)
        assert association.echo(5) == 0
        assert association.store(3, MR, "1.2.3", sent.dataset).status == 0xA900     # of that class it is the SCU
    assert response.status == answered
    assert left_behind(provider) == ((0, 0, 0) if answered else (1, 1, 0))
    assert ("refused with 0211H" in caplog.text, "SCU" in response.comment) == (bool(answered), bool(answered))


def test_contexts_of_one_transfer_syntax_share_a_scanner(provider, monkeypatch) -> None:
    made: list[str] = []

    def scanner(transfer_syntax: str, limits: ScanLimits) -> DatasetScanner:
        made.append(transfer_syntax)
        return scanner_for(transfer_syntax, limits)
    monkeypatch.setattr("dicomserver.services.store.scanner_for", scanner)
    with Sender(provider.port, [(CT, [EXPLICIT]), (CT, [EXPLICIT])]) as association:
        for number, context in enumerate((1, 3)):
            sent = instance(1, number)
            assert association.store(context, sent.sop_class, sent.sop_instance, sent.dataset).status == 0
    assert made == [EXPLICIT]
