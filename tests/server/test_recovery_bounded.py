"""Recovery at a start costs what was in flight, however large the archive is."""
import os

from dicomserver.archive import index_record
from dicomserver.archive.nodes import start_of
from dicomserver.server.recovery import recover

FILED = 100


def test_only_the_intake_is_opened(store, monkeypatch):
    store.index.mark_complete()
    filed = [store.receive(f"1.2.3.4.{number}", mover=False, study=f"1.2.{number % 20}", series=f"1.2.{number % 20}.1")
             for number in range(1, FILED + 1)]
    store.archive.file_batch(filed)
    waiting = [store.receive(f"1.2.9.{number}", row=number > 1, mover=False) for number in range(1, 4)]
    store.reopen()
    opened: list[str] = []
    listed: list[object] = []
    real_open, real_scan, real_list = os.open, os.scandir, os.listdir
    monkeypatch.setattr(os, "open", lambda name, *args, **more: opened.append(name) or real_open(name, *args, **more))
    monkeypatch.setattr(os, "scandir", lambda *args: listed.append(args) or real_scan(*args))
    monkeypatch.setattr(os, "listdir", lambda *args: listed.append(args) or real_list(*args))
    report = recover(store.archive, store.index, store.mover, store.describe, lambda done, total: None, store.log)
    monkeypatch.undo()
    assert (report.waiting, report.indexed) == (2, 1)
    ours = {f"{one.slot:016x}" for one in waiting}
    stock = f"{start_of(waiting[0].slot) + 1:08x}"      # slots that a thread of its own makes ahead meanwhile
    names = [name for path in opened if not (name := os.path.basename(path)).startswith(stock)]
    names = [name for name in names if name != f"{index_record.NAME}.new"]
    assert set(names) == ours and len(names) <= 4 * len(ours) and len(listed) == 1
    assert store.index.counts().instances == FILED + 3
