"""Files of imports/ become instances: each verdict, and what is left behind with it."""
from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.claims import ClaimTaken
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing, IntakeFull, StorageFailed
from dicomserver.archive.filing import Waiting
from dicomserver.archive.intake import Slot
from dicomserver.archive.preamble import check_whole, read_header
from dicomserver.index import Index, IndexUnavailable, OutcomeUnknown, open_index
from dicomserver.services.adoption import CONFLICT, SYNCS_AT_ONCE, WITHOUT_PIXELS, Adoption, Limits, Verdict
from dicomserver.services.describe import ScanLimits
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.part10 import encode_file_meta
from tests.archive.files import intake_of, names
from tests.interop.stored import Sent
from tests.interop.synthetic import CT, EXPLICIT, element, instance
from tests.services.test_store import Faulty, failing

STORED, KNOWN, REFUSED, STOPPED = Verdict
JPIP = "1.2.840.10008.1.2.4.94"


class Imported:
    """Archive and index of a test, and what an import lays in. archive, index: put something faulty in their place."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.archive: Archive = Archive(data)
        self.index: Index = open_index("memory:")
        self.waiting: list[Waiting] = []
        self.log = logging.getLogger("test.adoption")

    def lay_in(self, sent: Sent, **said: str) -> str:
        """A file of that instance, or of what its header shall say; its name."""
        name = f"{len(names(self.data / 'imports')):032x}"
        (self.data / "imports").mkdir(exist_ok=True)
        meta = encode_file_meta(said.get("sop_class", sent.sop_class), said.get("sop_instance", sent.sop_instance),
                                said.get("transfer_syntax", sent.transfer_syntax), source_ae="OTHER_PACS")
        (self.data / "imports" / name).write_bytes(bytes(128) + b"DICM" + meta + sent.dataset)
        return name

    def write(self, sent: Sent, adoption: Adoption) -> str:
        """The same in a slot that was lent; its place."""
        place, = adoption.lend(1)
        laid = self.data / "imports" / self.lay_in(sent)
        (self.data / place).write_bytes(laid.read_bytes())
        laid.unlink()
        return place

    @property
    def adoption(self) -> Adoption:
        return Adoption(self.archive, self.index, self.waiting.append, self.log)

    def adopt(self, *names: str, limits: Limits = Limits()) -> list[tuple[Verdict, str]]:
        verdicts = self.adoption.adopt(names, limits)
        assert list(verdicts) and set(verdicts) == set(names)
        return [verdicts[name] for name in names]

    def one(self, sent: Sent, limits: Limits = Limits(), **said: str) -> tuple[Verdict, str]:
        verdict, = self.adopt(self.lay_in(sent, **said), limits=limits)
        return verdict

    def left(self) -> tuple[int, int, int, int]:
        """Rows, files in the intake, in imports/, in quarantine."""
        return (self.index.counts().instances, len(intake_of(self.archive)), len(names(self.data / "imports")),
                len(names(self.data / "quarantine")))


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[Imported]:
    one = Imported(tmp_path / "data")
    archive, index = one.archive, one.index
    yield one
    index.close()
    archive.close()


def test_an_instance_is_in_a_slot_and_has_a_row(imported: Imported) -> None:
    sent = instance(1, 1)
    assert imported.one(sent) == (STORED, "")
    assert imported.left() == (1, 1, 0, 0)
    (waiting,), row = imported.waiting, imported.index.find(sent.sop_instance)
    assert (waiting.slot, waiting.sop_instance_uid, waiting.file_length) == (row.slot, sent.sop_instance,
                                                                             row.file_length)
    assert imported.archive.waiting == (1, row.file_length)
    fd = imported.archive.open_instance(row.slot, sent.study, sent.series, sent.sop_instance)
    header = read_header(fd)
    check_whole(fd, header.preamble)
    assert os.pread(fd, row.file_length, row.dataset_offset) == sent.dataset
    assert header.meta.source_ae == "OTHER_PACS"
    os.close(fd)
    imported.archive.verify(row)


def test_many_at_once(imported: Imported) -> None:
    laid = [imported.lay_in(instance(1, number)) for number in range(1, 3 * SYNCS_AT_ONCE)]
    assert set(imported.adopt(*laid)) == {(STORED, "")}
    assert imported.left() == (len(laid), len(laid), 0, 0)


def test_slots_are_lent_and_come_back_with_any_verdict(imported: Imported) -> None:
    adoption = imported.adoption
    good, again = (imported.write(instance(1, 1), adoption) for _ in range(2))
    bad = imported.write(Sent(ONE.study, ONE.series, CT, instance(1, 2).sop_instance, EXPLICIT, b"rubbish"), adoption)
    laid = imported.lay_in(instance(1, 3))
    empty, = adoption.lend(1)
    verdicts = {name: verdict for name, (verdict, _) in adoption.adopt([good, again, bad, laid, empty]).items()}
    assert verdicts == {good: STORED, again: KNOWN, bad: REFUSED, laid: STORED, empty: REFUSED}
    assert imported.left() == (2, 2, 0, 0) and len(imported.waiting) == 2
    assert [(imported.data / place).exists() for place in (good, again, bad, empty)] == [True, False, False, False]
    for row in imported.index.select():
        imported.archive.verify(row)
    # Once each, and only what was lent.
    (verdict, why), = adoption.adopt([good]).values()
    assert verdict is STOPPED and "anew" in why
    assert imported.left() == (2, 2, 0, 0)


def test_lent_slots_are_taken_back(imported: Imported, caplog) -> None:
    adoption = imported.adoption
    places = [imported.write(instance(1, 1), adoption), *adoption.lend(3)]
    adoption.take_back()
    assert [place for place in places if (imported.data / place).exists()] == []
    assert adoption.adopt(places[:1])[places[0]][0] is STOPPED
    adoption.lend(1)
    adoption.archive = Faulty(imported.archive, discard=failing(StorageFailed("removing", errno.EIO)))
    adoption.take_back()
    assert "a slot could not be removed" in caplog.text


def test_a_lent_slot_whose_sync_fails_is_gone(imported: Imported, monkeypatch) -> None:
    adoption = imported.adoption
    place = imported.write(ONE, adoption)
    discarded = []

    def discard(slot: Slot, *, durably: bool = False) -> None:
        discarded.append(durably)
        imported.archive.discard(slot, durably=durably)

    adoption.archive = Faulty(imported.archive, discard=discard)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing(OSError(errno.EIO, os.strerror(errno.EIO))))
        assert adoption.adopt([place]) == {place: (STOPPED, "writing failed: Input/output error")}
    assert imported.left() == (0, 0, 0, 0)
    # Its preamble was written, and may have reached the disk in spite of the error.
    assert discarded == [True]


def test_the_same_dataset_again_is_known_and_not_doubled(imported: Imported) -> None:
    first, again, later = (imported.lay_in(instance(1, 1)) for _ in range(3))
    assert imported.adopt(first, again) == [(STORED, ""), (KNOWN, "")]
    assert imported.adopt(later) == [(KNOWN, "")]
    assert imported.left() == (1, 1, 2, 0) and len(imported.waiting) == 1


def test_another_dataset_of_a_stored_uid_is_refused_and_stays_where_it_is(imported: Imported) -> None:
    sent = instance(1, 1)
    other = Sent(sent.study, sent.series, CT, sent.sop_instance, EXPLICIT,
                 sent.dataset.replace(b"PATIENT-1", b"PATIENT-2"))
    assert other.dataset != sent.dataset
    assert imported.one(sent) == (STORED, "")
    before = {name: (imported.data / "imports" / name).read_bytes() for name in [imported.lay_in(other)]}
    assert imported.adopt(*before) == [(REFUSED, CONFLICT)]
    assert imported.left() == (1, 1, 1, 0)
    assert {name: (imported.data / "imports" / name).read_bytes() for name in before} == before
    # The same in another transfer syntax is something else as well.
    assert imported.one(sent, transfer_syntax="1.2.840.10008.1.2.4.50") == (REFUSED, CONFLICT)


ONE = instance(1, 1)
NO_STUDY = ONE.dataset.replace(element(0x0020000D, "UI", b"1.2.826.0.1.1"), b"")
PRIVATE = "1.2.3.4.5"
BAD = {
    "truncated": (ONE.dataset[:-1], {}, "its dataset: "),
    "without a study": (NO_STUDY, {}, "Study Instance UID"),
    "another instance": (instance(1, 2).dataset, {}, "SOP Instance UID differs"),
    "empty": (b"", {}, "its dataset: "),
    "a path": (ONE.dataset, {"sop_instance": "../x"}, "SOP Instance UID is missing or no UID"),
    "not for storage": (ONE.dataset, {"sop_class": "1.2.840.10008.1.1"}, "not one of storage"),
    "a class that is none": (ONE.dataset, {"sop_class": "x"}, "not one of storage"),
    "a private transfer syntax": (ONE.dataset, {"transfer_syntax": PRIVATE}, "transfer syntax is private"),
}


@pytest.mark.parametrize("dataset, said, why", BAD.values(), ids=list(BAD))
def test_what_is_refused_for_what_it_is(dataset: bytes, said: dict, why: str, imported: Imported) -> None:
    sent = Sent(ONE.study, ONE.series, CT, ONE.sop_instance, EXPLICIT, dataset)
    good = imported.lay_in(instance(1, 3))
    bad, stored = imported.adopt(imported.lay_in(sent, **said), good)
    assert bad[0] is REFUSED and why in bad[1] and "Doe" not in bad[1]
    assert stored == (STORED, "")
    assert imported.left() == (1, 1, 1, 0)


def test_an_image_without_its_pixels_is_refused_so_that_the_whole_one_can_come(imported: Imported) -> None:
    sized = element(0x00280010, "US", b"\x10\0") + element(0x00280011, "US", b"\x10\0")
    at = ONE.dataset.index(b"\xe0\x7f\x10\0")
    part, whole = ONE.dataset[:at] + sized, ONE.dataset[:at] + sized + ONE.dataset[at:]
    for dataset, expected in ((part, REFUSED), (whole, STORED), (part, REFUSED), (whole, KNOWN)):
        verdict, why = imported.one(Sent(ONE.study, ONE.series, CT, ONE.sop_instance, EXPLICIT, dataset))
        assert verdict is expected and (why == WITHOUT_PIXELS) is (expected is REFUSED)
    # It has none to miss: a report, or an image whose pixels are elsewhere.
    other = instance(1, 2)
    report = Sent(ONE.study, ONE.series, CT, other.sop_instance, EXPLICIT, other.dataset[:at])
    assert imported.one(report) == (STORED, "")
    jpip = instance(1, 3).dataset[:at] + sized
    assert imported.one(Sent(ONE.study, ONE.series, CT, instance(1, 3).sop_instance, JPIP, jpip)) == (STORED, "")


def test_the_limits_are_those_of_receiving(imported: Imported) -> None:
    private = ONE.dataset.replace(CT.encode() + b"\0", b"1.2.3.4.5.6.7.8.9.10.11.12")
    sent = Sent(ONE.study, ONE.series, "1.2.3.4.5.6.7.8.9.10.11.12", ONE.sop_instance, EXPLICIT, private)
    assert len(private) == len(ONE.dataset)
    verdict, why = imported.one(sent, Limits(private_sop_classes=False))
    assert verdict is REFUSED and "private" in why
    assert imported.one(sent) == (STORED, "")
    sequence = b"\x08\0\x15\x92SQ\0\0\x08\0\0\0" + b"\xfe\xff\x00\xe0\0\0\0\0"
    other = instance(1, 2)
    nested = Sent(other.study, other.series, CT, other.sop_instance, EXPLICIT, _with(other.dataset, sequence))
    verdict, why = imported.one(nested, Limits(ScanLimits(sequence_depth=0)))
    assert verdict is REFUSED and "too deeply" in why
    assert imported.one(nested, Limits(ScanLimits(sequence_depth=1))) == (STORED, "")


def _with(dataset: bytes, more: bytes) -> bytes:
    """The dataset with an element in front of its first one of group 0010."""
    at = dataset.index(b"\x10\0\x10\0")
    return dataset[:at] + more + dataset[at:]


def test_files_that_are_not_there_or_have_no_header(imported: Imported) -> None:
    name = imported.lay_in(ONE)
    (imported.data / "imports" / name).write_bytes(b"rubbish")
    assert imported.adopt(name)[0][0] is REFUSED
    for gone in ("f" * 32, "../format", "intake/0000000100000001"):     # the server has been started anew
        assert imported.adopt(gone)[0][0] is STOPPED
    assert imported.left() == (0, 0, 1, 0)


def test_an_unreadable_file_is_refused_and_the_others_are_stored(imported: Imported, monkeypatch) -> None:
    def checksum(fd: int, offset: int, length: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    name = imported.lay_in(ONE)
    with monkeypatch.context() as patch:
        patch.setattr("dicomserver.services.adoption.checksum_file", checksum)
        assert imported.adopt(name) == [(REFUSED, "it cannot be read: Input/output error")]
    assert imported.adopt(name) == [(STORED, "")]


def test_a_full_disk_stops_everything(imported: Imported) -> None:
    laid = [imported.lay_in(instance(1, number)) for number in (1, 2)]
    real = imported.archive
    imported.archive = Faulty(real, take=failing(IntakeFull("only the reserve of free space is left")))
    assert imported.adopt(*laid) == [(STOPPED, "only the reserve of free space is left")] * 2
    imported.archive = real
    assert imported.left() == (0, 0, 2, 0)
    assert imported.adopt(*laid) == [(STORED, "")] * 2


@pytest.mark.parametrize("name", ["fdatasync", "rename", "pwrite"])
def test_a_failing_disk_stops_everything(name: str, imported: Imported, monkeypatch) -> None:
    laid = [imported.lay_in(instance(1, number)) for number in (1, 2)]
    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing(OSError(errno.EIO, os.strerror(errno.EIO))))
        assert imported.adopt(*laid) == [(STOPPED, "writing failed: Input/output error")] * 2
    assert imported.left() == (0, 0, 2, 0) and imported.waiting == []


def test_names_that_do_not_become_durable_leave_nothing(imported: Imported) -> None:
    real = imported.archive
    adopting = Faulty(real.adopting, settle=failing(OSError(errno.EIO, os.strerror(errno.EIO))))
    imported.archive = Faulty(real, adopting=adopting)
    (verdict, why), = imported.adopt(imported.lay_in(ONE))
    assert verdict is STOPPED and "durable" in why
    imported.archive = real
    assert imported.left() == (0, 0, 0, 0) and imported.waiting == []


def test_an_index_that_cannot_be_written_leaves_nothing(imported: Imported) -> None:
    real, imported.index = imported.index, Faulty(imported.index, add=failing(IndexUnavailable("it is locked")))
    assert imported.one(ONE) == (STOPPED, "the index is unavailable: it is locked")
    imported.index = Faulty(real, find=failing(IndexUnavailable("it is locked")))
    assert imported.one(ONE) == (STOPPED, "the index is unavailable: it is locked")
    imported.index = Faulty(real, add=failing(DatasetError("a field")))
    verdict, why = imported.one(instance(1, 2))
    assert verdict is REFUSED and "the index cannot read it" in why
    imported.index = real
    assert imported.left()[:2] == (0, 0) and imported.waiting == []
    assert imported.one(ONE) == (STORED, "")


def test_a_commit_of_which_nobody_knows_keeps_the_slot(imported: Imported) -> None:
    real, imported.index = imported.index, Faulty(imported.index, add=failing(OutcomeUnknown("the database went away")))
    verdict, why = imported.one(ONE)
    assert verdict is STOPPED and "went away" in why
    imported.index = real
    assert imported.left() == (0, 1, 0, 0) and len(imported.waiting) == 1


def test_a_slot_that_fails_at_the_close_may_not_be_whole(imported: Imported) -> None:
    real = imported.archive

    def keep(*kept: object) -> None:
        real.keep(*kept)
        raise StorageFailed("closing a slot", errno.EIO)

    imported.archive = Faulty(real, keep=keep)
    assert imported.one(ONE) == (STOPPED, f"closing a slot: {os.strerror(errno.EIO)}")
    assert imported.left() == (1, 1, 0, 0) and len(imported.waiting) == 1


def test_what_is_being_deleted_or_stored_just_now_is_for_later(imported: Imported) -> None:
    real = imported.archive
    assert imported.one(ONE) == (STORED, "")
    imported.archive = Faulty(real, is_being_deleted=lambda slot: True)
    verdict, why = imported.one(ONE)
    assert verdict is REFUSED and "being deleted" in why
    imported.archive = Faulty(real, claims=Faulty(real.claims, take=failing(ClaimTaken("another association"))))
    verdict, why = imported.one(instance(1, 2))
    assert verdict is REFUSED and "import it again" in why
    imported.archive = real
    assert imported.left() == (1, 1, 2, 0)


def test_what_came_back_from_the_trash_meanwhile_stays(imported: Imported) -> None:
    real = imported.index
    there = Imported(imported.data.parent / "other")
    assert there.one(ONE) == (STORED, "")
    imported.index = Faulty(real, add=lambda _instance: there.index.find(ONE.sop_instance))
    verdict, why = imported.one(ONE)
    assert verdict is REFUSED and "meanwhile" in why and imported.waiting == []
    imported.index = real
    assert imported.left() == (0, 0, 0, 0)
    there.archive.close()
    there.index.close()


def test_a_stored_instance_that_cannot_be_read(imported: Imported, caplog) -> None:
    assert imported.one(ONE) == (STORED, "")
    real = imported.archive
    row = imported.index.find(ONE.sop_instance)
    imported.archive = Faulty(real, is_same_dataset=failing(InstanceDamaged("its checksum does not hold")))
    verdict, why = imported.one(ONE)
    assert verdict is REFUSED and "cannot be read" in why

    def delete(*_: object) -> bool:
        real_index.remove([row.sop_instance_uid], [row.slot])
        raise InstanceMissing("neither the slot nor the file is there")

    real_index = imported.index
    imported.archive = Faulty(real, is_same_dataset=delete)
    assert imported.one(ONE) == (STORED, "")        # deleted in this moment: it is new
    imported.archive = real


def test_a_damaged_stored_instance_is_noticed_when_other_bytes_come(imported: Imported) -> None:
    assert imported.one(ONE) == (STORED, "")
    row = imported.index.find(ONE.sop_instance)
    path = imported.data / "intake" / f"{row.slot:016x}"
    octets = bytearray(path.read_bytes())
    octets[-1] ^= 1
    path.write_bytes(octets)
    assert imported.one(ONE) == (REFUSED, CONFLICT)
    (uid, why), = imported.index.integrity.faults(10)
    assert uid == ONE.sop_instance and "checksum" in why


def test_two_imports_and_the_same_instances(imported: Imported) -> None:
    """Claims are taken in one order: neither waits for the other for ever, and nothing is doubled."""
    batches = [[imported.lay_in(instance(1, number)) for number in order]
               for order in (range(1, 30), range(29, 0, -1))]
    verdicts: list[list[Verdict]] = []
    threads = [threading.Thread(target=lambda batch=batch: verdicts.append(
        [verdict for verdict, _ in imported.adopt(*batch)])) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(verdict for some in verdicts for verdict in some) == [KNOWN] * 29 + [STORED] * 29
    assert imported.left() == (29, 29, 29, 0)
