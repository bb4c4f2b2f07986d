import time

import pytest

from dicomserver.index import Instance, open_index
from dicomserver.server.deletion import Asked, Deleter
from dicomserver.server.rebuild import fill
from dicomserver.server.retention import Retention
from dicomserver.server.settings import RetentionSettings
from dicomserver.server.trash import TrashKeeper, choice

DAY = 86400
AGES = {"1.400": 400, "1.300": 300, "1.200": 200, "1.20": 20, "1.1": 1}


@pytest.fixture
def rule(store, monkeypatch):
    """Studies whose last images are so many days old, each of 1 000 octets of pixels; a disk of 100 000."""
    now = time.time()

    def describe(fd, meta, **more):
        instance = store.describe(fd, meta, **more)
        instance.received_at = int((now - AGES[instance.study_instance_uid] * DAY) * 1_000_000)
        return instance

    for study in AGES:
        store.receive(f"{study}.1.1", bytes(1000), study, f"{study}.1", row=False)
    store.mover.start()
    store.mover.flush()
    fill(store.index, store.archive, describe, lambda *step: None, store.log)
    store.index.mark_complete()
    trash = TrashKeeper(store.archive, store.index, store.mover, describe, 7 * DAY, store.log)
    deleter = Deleter(store.archive, store.index, store.mover, trash, store.log)
    made = Retention(store.archive, store.index, deleter, trash, RetentionSettings(), store.log)
    made.store, made.trash, made.deleter, made.describe = store, trash, deleter, describe
    store.free = 100_000
    monkeypatch.setattr(store.archive, "total_space", lambda: 100_000)
    monkeypatch.setattr(store.archive, "free_space", lambda: store.free)
    return made


def would_go(rule, **settings) -> list[tuple[str, str]]:
    rule.settings = RetentionSettings(**settings)
    return [(candidate.study.study_instance_uid, candidate.why) for candidate in rule.candidates()]


def left(rule) -> set[str]:
    return {row.study_instance_uid for row in rule.store.index.select()}


def test_off_unless_it_is_set(rule):
    rule.store.free = 0
    assert would_go(rule) == []
    rule.keep_house()
    assert left(rule) == set(AGES)


@pytest.mark.parametrize("settings, gone", [
    ({"days": 365}, ["1.400"]), ({"days": 250}, ["1.400", "1.300"]), ({"days": 1000}, []),
    ({"days": 2}, ["1.400", "1.300", "1.200"]), ({"days": 2, "minimum_days": 10}, ["1.400", "1.300", "1.200", "1.20"])])
def test_by_age_the_oldest_first(rule, settings, gone):
    assert would_go(rule, **settings) == [(study, "age") for study in gone]


@pytest.mark.parametrize("free, gone", [(10_000, 0), (9_999, 1), (9_000, 1), (8_000, 2), (0, 3)])
def test_room_for_what_comes(rule, free, gone):
    """A file is a little more than 1 000 octets; none younger than 30 days goes."""
    rule.store.free = free
    assert would_go(rule, free_percent=10) == [(study, "room") for study in list(AGES)[:gone]]


def test_age_makes_room_too(rule):
    rule.store.free = 8_000
    assert would_go(rule, days=350, free_percent=10) == [("1.400", "age"), ("1.300", "room")]


def test_what_lies_in_the_trash_is_as_good_as_free(rule):
    rule.store.free = 8_000
    rule.settings = RetentionSettings(free_percent=10)
    rule.keep_house()
    assert left(rule) == {"1.200", "1.20", "1.1"}
    rule.keep_house()
    assert left(rule) == {"1.200", "1.20", "1.1"}
    assert rule.trash.undelete(choice(study="1.400")).restored == 1


def test_what_is_kept_stays(rule):
    rule.store.archive.kept.set("1.400", True)
    assert would_go(rule, days=250) == [("1.300", "age")]
    rule.store.free = 9_000
    assert would_go(rule, free_percent=10) == [("1.300", "room")]
    rule.store.archive.kept.set("1.400", False)
    assert would_go(rule, days=350) == [("1.400", "age")]


def test_a_mark_outlives_the_index(rule):
    store = rule.store
    store.archive.kept.set("1.400", True)
    store.reopen()
    rule._archive, rule._index = store.archive, open_index("memory:")
    fill(rule._index, store.archive, rule.describe, lambda *step: None, store.log)
    assert would_go(rule, days=250) == [("1.300", "age")]
    rule._index.close()


def test_an_archive_that_gets_nothing_is_not_emptied(rule):
    """Nor is one whose clock has jumped: then nothing seems to have come for years."""
    rule.deleter.delete(Asked(study="1.1"))
    assert would_go(rule, days=30, minimum_days=10) == []
    assert would_go(rule, days=30, minimum_days=21) != []


def test_the_preview_deletes_nothing_and_the_pass_what_it_showed(rule, caplog):
    caplog.set_level("INFO")
    shown = would_go(rule, days=250)
    assert left(rule) == set(AGES)
    rule.keep_house()
    assert left(rule) == set(AGES) - {study for study, _ in shown}
    assert "the retention rule deleted 2 studies, 2 instances" in caplog.text
    assert "1.400" not in caplog.text


def test_what_got_an_image_or_a_mark_meanwhile_stays(rule, monkeypatch):
    rule.settings = RetentionSettings(days=150)
    real = rule._deleter.delete

    def delete(asked, **more):
        rule.store.archive.kept.set("1.300", True)
        rule.store.index.add(Instance(
            "1.200", "1.200.1", "1.200.1.2", "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.1.2.1", 1 << 40, 1000, 300, 1,
            int(time.time() * 1_000_000), "SENDER", "US", b"", b"", b"", b"", b""))
        return real(asked, **more)

    monkeypatch.setattr(rule._deleter, "delete", delete)
    rule.keep_house()
    assert left(rule) == set(AGES) - {"1.400"}


@pytest.mark.parametrize("what", ["image", "mark"])
def test_or_while_it_waited_for_another_deletion(rule, monkeypatch, what):
    """That may take long; what came meanwhile is young, and would go with the rest."""
    rule.settings = RetentionSettings(days=365)
    settle = rule.trash.settle

    def meanwhile():
        monkeypatch.setattr(rule.trash, "settle", settle)
        if what == "mark":
            rule.store.archive.kept.set("1.400", True)
        else:
            monkeypatch.setitem(AGES, "1.400", 0)
            rule.store.receive("1.400.1.2", b"", "1.400", "1.400.1", row=False)
            rule.store.mover.flush()
            fill(rule.store.index, rule.store.archive, rule.describe, lambda *step: None, rule.store.log)
        settle()
    monkeypatch.setattr(rule.trash, "settle", meanwhile)
    rule.keep_house()
    assert left(rule) == set(AGES)
    assert sum(1 for _ in rule.store.index.select(study="1.400")) == (2 if what == "image" else 1)


def test_a_stop_ends_it_between_two_studies(rule):
    rule.settings = RetentionSettings(days=150)
    answers = iter([True, False])
    rule.keep_house(lambda: next(answers))
    assert left(rule) == set(AGES) - {"1.400"}
