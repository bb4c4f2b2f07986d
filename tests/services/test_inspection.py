from __future__ import annotations

import hashlib
import os

import pytest

from dicomserver.index import IndexUnavailable
from dicomserver.index.integrity import Finding
from dicomserver.services.inspection import Inspector
from tests.services.retrieving import HARMS, fill, stored_file, study
from tests.services.test_store import Faulty, failing


@pytest.fixture
def inspector(provider) -> Inspector:
    return Inspector(provider.archive, provider.index, provider.log)


@pytest.fixture
def sent(provider):
    return fill(provider, study(2))


def row(provider, one):
    return provider.index.find(one.sop_instance)


def test_a_whole_file_has_its_digest(provider, inspector, sent) -> None:
    told: list[int] = []
    finding = inspector.inspect(row(provider, sent[0]), told.append)
    content = stored_file(provider, sent[0]).read_bytes()
    assert (finding.fault, finding.sha256) == ("", hashlib.sha256(content).digest())
    assert sum(told) == len(content)
    assert provider.index.integrity.sha256(row(provider, sent[0])) is None      # that is the caller's to record


@pytest.mark.parametrize("harm", HARMS)
def test_damage_is_marked_and_the_file_stays(provider, inspector, sent, harm, caplog) -> None:
    harm(provider, sent[0])
    names = sorted(os.listdir(os.path.join(provider.archive.path, "intake")))
    assert inspector.inspect(row(provider, sent[0])).fault
    assert provider.index.integrity.count_faults() == 1
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1 and errors[0].startswith("a stored instance is damaged: ")
    assert sent[0].sop_instance not in errors[0]
    assert sorted(os.listdir(os.path.join(provider.archive.path, "intake"))) == names


def test_a_change_that_the_checksum_misses(provider, inspector, sent) -> None:
    """Nothing that we can make; so another digest stands in the index."""
    stored = row(provider, sent[0])
    provider.index.integrity.record([Finding(stored, b"another digest".ljust(32), "")])
    assert "SHA-256" in inspector.inspect(stored).fault
    assert provider.index.integrity.count_faults() == 1


def test_what_is_being_deleted_is_no_damage(provider, inspector, sent, caplog) -> None:
    stored = row(provider, sent[0])
    stored_file(provider, sent[0]).unlink()
    inspector._archive = Faulty(provider.archive, is_being_deleted=lambda slot: slot == stored.slot)
    assert inspector.inspect(stored) is None
    inspector._archive = provider.archive
    provider.index.remove([stored.sop_instance_uid], [stored.slot])
    assert inspector.inspect(stored) is None and "ERROR" not in caplog.text


def test_a_file_that_cannot_be_opened(provider, inspector, sent) -> None:
    inspector._archive = Faulty(provider.archive, digest=failing(PermissionError(13, "Permission denied")))
    assert inspector.inspect(row(provider, sent[0])).fault == "its file cannot be read: Permission denied"


def test_what_this_process_lacks_says_nothing_of_the_file(provider, inspector, sent, caplog) -> None:
    inspector._archive = Faulty(provider.archive, digest=failing(OSError(24, "Too many open files")))
    with pytest.raises(OSError):
        inspector.inspect(row(provider, sent[0]))
    inspector.suspect(row(provider, sent[0]))
    assert "cannot be read anew: Too many open files" in caplog.text
    assert provider.index.integrity.count_faults() == 0


def test_an_index_that_does_not_answer(provider, inspector, sent, caplog) -> None:
    stored = row(provider, sent[0])
    inspector._index = Faulty(provider.index, integrity=Faulty(provider.index.integrity,
                                                               sha256=failing(IndexUnavailable("no"))))
    with pytest.raises(IndexUnavailable):
        inspector.inspect(stored)
    inspector.suspect(stored)
    assert "cannot be marked as damaged: no" in caplog.text
