"""A SOP Instance UID that comes again: the same bytes, others, and what is stored damaged or being deleted."""
from __future__ import annotations

import errno

import pytest

from dicomserver.archive.errors import InstanceDamaged, InstanceMissing, QuarantineFailed
from tests.interop.synthetic import EXPLICIT, instance
from tests.services.retrieving import HARMS, fill, study
from tests.services.test_store import Faulty, descriptors, failing, folder, left_behind, store

pytestmark = pytest.mark.parametrize("provider", ["memory", "file"], indirect=True)


def test_a_duplicate_is_welcome_and_not_doubled(provider) -> None:
    assert [store(provider, instance(1, 1)).status for _ in range(3)] == [0, 0, 0]
    assert left_behind(provider) == (1, 1, 0) and len(provider.waiting) == 1


def test_another_content_is_set_aside(provider, caplog) -> None:
    assert store(provider, instance(1, 1)).status == 0
    response = store(provider, instance(1, 1, comment="other"))
    assert (response.status, response.comment) == (0xC001, "SOP Instance UID is stored with other content")
    assert left_behind(provider) == (1, 1, 1) and len(provider.waiting) == 1
    assert any(line.levelname == "ERROR" and "quarantine/" in line.getMessage() for line in caplog.records)
    assert provider.index.integrity.count_faults() == 0


def test_another_content_that_comes_again_is_not_set_aside_again(provider, caplog) -> None:
    contents = [instance(1, 1, comment=comment) for comment in ("first", "other", "third")]
    assert store(provider, contents[0]).status == 0
    assert [store(provider, contents[number]).status for number in (1, 1, 2, 1, 2)] == [0xC001] * 5
    assert left_behind(provider) == (1, 1, 2)
    assert sum("already" in line.getMessage() for line in caplog.records) == 3


@pytest.mark.parametrize("act", ["removed", "damaged", "of another syntax"])
def test_another_content_is_set_aside_again_if_it_does_not_lie_there_any_more(provider, act) -> None:
    sent = instance(1, 1, comment="other")
    assert [store(provider, one).status for one in (instance(1, 1), sent)] == [0, 0xC001]
    (path,) = (path for path in folder(provider, "quarantine") if path.suffix == ".dcm")
    content = path.read_bytes()
    if act == "removed":
        path.unlink()
    elif act == "damaged":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        path.write_bytes(content.replace(EXPLICIT.encode(), EXPLICIT[:-1].encode() + b"9"))
    assert store(provider, sent).status == 0xC001
    assert left_behind(provider) == (1, 1, 1 if act == "removed" else 2)


@pytest.mark.parametrize("harm", HARMS)
def test_a_duplicate_of_what_is_damaged_marks_that(provider, harm) -> None:
    one, _ = fill(provider, study(2))
    harm(provider, one)
    assert store(provider, one).status in (0xC001, 0xA700)
    assert provider.index.integrity.count_faults() == 1 and left_behind(provider)[2] == 1


def test_a_duplicate_of_what_is_being_deleted_gets_no_promise(provider) -> None:
    assert store(provider, instance(1, 1)).status == 0
    provider.archive = Faulty(provider.archive, is_being_deleted=lambda slot: True)
    assert store(provider, instance(1, 1)).status == 0xA700
    assert left_behind(provider) == (1, 1, 0)


def test_a_duplicate_of_what_was_deleted_in_this_moment_is_new(provider) -> None:
    assert store(provider, instance(1, 1)).status == 0
    row = provider.index.find(instance(1, 1).sop_instance)

    def delete(*_: object) -> bool:
        provider.index.remove([row.sop_instance_uid], [row.slot])
        raise InstanceMissing("neither the slot nor the file is there")

    provider.archive = Faulty(provider.archive, is_same=delete)
    assert store(provider, instance(1, 1)).status == 0
    assert provider.index.find(row.sop_instance_uid).slot > row.slot
    assert len(provider.waiting) == 2


def test_a_duplicate_of_what_cannot_be_read_is_kept_for_the_operator(provider) -> None:
    assert store(provider, instance(1, 1)).status == 0
    provider.archive = Faulty(provider.archive, is_same=failing(InstanceDamaged("its checksum does not hold")))
    response = store(provider, instance(1, 1))
    assert (response.status, response.comment) == (0xA700, "the stored instance cannot be read")
    assert left_behind(provider) == (1, 1, 1)
    before = descriptors()
    for _ in range(5):
        store(provider, instance(1, 1))
    assert descriptors() <= before + 2      # each of them has given its slot back


def test_where_even_setting_aside_fails(provider) -> None:
    assert store(provider, instance(1, 1)).status == 0
    provider.archive = Faulty(provider.archive, set_aside=failing(QuarantineFailed("setting a file aside", errno.EIO)))
    assert store(provider, instance(1, 1, comment="other")).status == 0xA700
