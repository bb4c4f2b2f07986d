import pytest

from dicomserver.index import open_index
from dicomserver.server.rebuild import fill, fill_fresh, rebuild


def nothing(done, total):
    pass


@pytest.fixture
def filed(store):
    """Five instances of two studies at their final names."""
    for number in range(5):
        study = f"1.2.{number % 2}"
        store.receive(f"1.2.{number % 2}.3.{number}", b"pixels", study, study + ".3")
    store.mover.start()
    assert store.mover.flush()
    return store


def test_a_new_index_takes_the_place_of_the_old_one(filed):
    before = sorted(filed.index.select(), key=lambda row: row.slot)
    filed.index.close()
    (filed.path / "dicom-server.db").write_bytes(b"not an index any more")
    for tail in ("-wal", "-shm"):
        (filed.path / f"dicom-server.db{tail}").unlink(missing_ok=True)
    seen = []
    report = rebuild(filed.archive, filed.url, filed.describe, lambda *step: seen.append(step), filed.log)
    assert (report.indexed, report.damaged, report.foreign, report.known) == (5, 0, 0, 0)
    filed.index = open_index(filed.url)
    assert sorted(filed.index.select(), key=lambda row: row.slot) == before
    assert not filed.index.is_fresh
    assert seen[0] == (0, 5) and seen[-1] == (5, 5)


def test_one_that_is_interrupted_leaves_the_old_one(filed):
    filed.index.close()

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(filed.archive, filed.url, filed.describe, interrupt, filed.log)
    filed.index = open_index(filed.url)
    assert filed.index.counts().instances == 5
    assert [path.name for path in filed.path.glob("*.new*")] == []


def test_what_is_damaged_or_foreign_is_reported_and_left(filed, caplog):
    broken = filed.final_path("1.2.0.3.0", "1.2.0", "1.2.0.3")
    broken.write_bytes(broken.read_bytes()[:-1])
    stranger = filed.final_path("1.2.0.3.77", "1.2.0", "1.2.0.3")
    stranger.write_bytes(b"hello")
    index = open_index("memory:")
    report = fill(index, filed.archive, filed.describe, nothing, filed.log)
    assert (report.indexed, report.damaged, report.foreign) == (4, 1, 1)
    assert broken.exists() and stranger.exists()
    assert "damaged file is not indexed" in caplog.text and "1.2.0.3.0" not in caplog.text
    index.close()


def test_two_files_with_one_uid(filed, caplog):
    filed.receive("1.2.0.3.0", b"other", "1.2.9", "1.2.9.3", row=False)
    assert filed.mover.flush()
    index = open_index("memory:")
    report = fill(index, filed.archive, filed.describe, nothing, filed.log)
    assert (report.indexed, report.known) == (5, 1)
    assert "same SOP Instance UID" in caplog.text
    index.close()


def test_only_a_fresh_index_is_filled_at_start(filed):
    assert filed.index.is_fresh
    # Rows that C-STORE added are no reason to believe that the rest is there.
    assert fill_fresh(filed.index, filed.archive, filed.describe, nothing, filed.log).indexed == 0
    assert not filed.index.is_fresh
    assert fill_fresh(filed.index, filed.archive, filed.describe, nothing, filed.log) is None


def test_a_filling_that_fails_leaves_the_index_fresh(filed, caplog):
    def interrupt(done, total):
        raise OSError(5, "1.2.3")

    with pytest.raises(OSError):
        fill_fresh(filed.index, filed.archive, filed.describe, interrupt, filed.log)
    assert filed.index.is_fresh and "OSError EIO" in caplog.text
