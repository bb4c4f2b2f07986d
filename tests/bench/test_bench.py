"""That the bench measures what it says: everything sent is stored, figures are ordered, failures fail. Never speed."""
from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomserver.index import open_index
from tests.bench import __main__ as bench
from tests.bench import filled, peers, table
from tests.bench.loads import FILLED, LOADS, Figures, Measurement, median, percentile, rounds
from tests.bench.payloads import CT, INSTANCE, KINDS, LARGE, MULTIFRAME, SMALL, request, uid
from tests.bench.retrieving import MOVE, retrieve
from tests.bench.sender import Job, LoadFailed, Timing, run
from tests.bench.servers import ON_POSTGRES, ORTHANC, OURS, STORESCP, Server
from tests.ports import free_port


def sizes(wire: bytes | bytearray) -> list[tuple[int, int]]:
    """(bytes, message control header) of each PDV in a run of whole P-DATA-TF PDUs with one PDV each."""
    found, at = [], 0
    while at < len(wire):
        kind, length, pdv, context, control = struct.unpack_from(">BxIIBB", wire, at)
        assert (kind, length, context) == (4, pdv + 4, 1)
        found.append((pdv - 2, control))
        at += 6 + length
    assert at == len(wire)
    return found


@pytest.mark.parametrize("maximum_length", [0, 4096, 16384, 131072])
@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_requests_are_whole(kind, maximum_length: int) -> None:
    what = request(kind, 1, maximum_length)
    head, block, tail = sizes(what.head), sizes(what.block), sizes(what.tail)
    whole = head + block + tail
    assert max(size for size, _ in whole) + 6 <= (maximum_length or 16384)
    assert [control for _, control in whole] == [3] + [0] * (len(whole) - 2) + [2]
    dataset = sum(size for size, _ in head[1:] + tail) + what.repeats * sum(size for size, _ in block)
    assert dataset == what.size


def test_objects_have_the_sizes_that_the_table_names() -> None:
    assert 4300 < request(SMALL, 1, 0).size < 4500
    assert 525_000 < request(CT, 1, 0).size < 528_000
    assert 200e6 < request(MULTIFRAME, 1, 0).size < 202e6
    assert 2.2e9 < request(LARGE, 1, 0).size < 2.21e9


def test_a_request_becomes_another_instance_in_command_and_dataset() -> None:
    what = request(CT, 1, 0)
    length = len(what.head)
    what.become(3, 2, 77)
    assert len(what.head) == length
    assert what.head.count(uid(INSTANCE, 3, 2, 77).encode()) == 2
    assert uid(INSTANCE, 3, 2, 77) != uid(INSTANCE, 3, 2, 78) != uid(INSTANCE, 2, 3, 78)


@pytest.mark.parametrize("name", ["small1", "small4", "ct1", "ct4"])
def test_all_that_was_sent_is_stored(name: str, tmp_path: Path) -> None:
    seen = []

    def look(server: Server, timing: Timing) -> None:
        server.stop()
        files = list((server.folder / "data").rglob("*.dcm"))
        seen.append((len(files), len({file.parent for file in files})))
        assert all(file.stem == dcmread(BytesIO(file.read_bytes())).SOPInstanceUID for file in files[::10])

    load = LOADS[name]
    figures = Measurement(tmp_path, quick=True, on_server=look).measure(load, OURS)
    assert figures.sent >= load.quick * load.associations
    assert seen == [(figures.sent, load.associations)]
    check(figures)
    assert list(tmp_path.iterdir()) == []


def test_with_postgres_the_index_is_there(tmp_path: Path) -> None:
    def look(server: Server, timing: Timing) -> None:
        stored = server.database.execute("SELECT count(*) FROM dicom_server.instances")
        seen.append((stored, server.database.execute("SHOW fsync"), list(server.folder.rglob("*.db"))))
        databases.append(server.database.folder)

    seen, databases = [], []
    figures = Measurement(tmp_path, quick=True, on_server=look).measure(LOADS["small4"], ON_POSTGRES[OURS])
    assert seen == [([(figures.sent,)], [("on",)], [])]
    check(figures)
    assert list(tmp_path.iterdir()) == [] and not databases[0].exists()


def test_what_does_not_start_leaves_no_database(tmp_path: Path) -> None:
    server = Server(ON_POSTGRES[OURS], tmp_path, environment={"DICOM_SERVER_RESERVE_MEGABYTES": "many"})
    with pytest.raises(LoadFailed, match="RESERVE"), server:
        pass
    assert not server.database.folder.exists()


@pytest.mark.parametrize("name", ["get", "move"])
def test_all_that_is_stored_comes_back(name: str, tmp_path: Path) -> None:
    told = []
    load = LOADS[name]
    measurement = Measurement(tmp_path, quick=True, on_server=lambda server, timing: told.append(timing))
    figures = measurement.measure(load, OURS)
    (timing,) = told
    assert len(timing.latencies) == timing.sent == figures.sent >= load.quick
    assert timing.octets == timing.sent * request(CT, 1, 0).size
    check(figures)


def test_a_destination_that_gets_nothing_is_a_failure(tmp_path: Path) -> None:
    with Server(OURS, tmp_path) as server, pytest.raises(LoadFailed, match="A702H"):
        retrieve(MOVE, Job("small", server.port, 1, 1, 20), free_port())


def check(figures: Figures) -> None:
    """Nothing that a measurement of a server that works could not be."""
    assert figures.rate > 0
    assert 0 < figures.p50 <= figures.p95 <= figures.p99
    assert figures.memory > 1 << 20
    assert figures.start_seconds > 0


def test_associations_come_and_go(tmp_path: Path) -> None:
    figures = Measurement(tmp_path, quick=True).measure(LOADS["echo"], OURS)
    check(figures)
    assert figures.sent == 0


def test_one_sync_for_each_instance_and_none_without_the_shim(tmp_path: Path) -> None:
    figures = Measurement(tmp_path, quick=True).measure(LOADS["syncs"], OURS)
    assert figures.syncs is not None
    assert figures.syncs[0] == 1
    assert 0 <= figures.syncs[1] < 1
    assert Measurement(tmp_path, quick=True).measure(LOADS["small1"], OURS).syncs is None


def test_slow_syncs_are_slow(tmp_path: Path) -> None:
    figures = Measurement(tmp_path, quick=True, sync_ms=20).measure(LOADS["ct1"], OURS)
    assert figures.p50 >= 0.02


def test_a_failure_is_told_and_not_counted(tmp_path: Path) -> None:
    with Server(OURS, tmp_path, environment={"DICOM_SERVER_RESERVE_MEGABYTES": "1000000"}) as server:
        with pytest.raises(LoadFailed, match="A700H"):
            run(Job("small", server.port, 1, 2, 5))
        with pytest.raises(LoadFailed, match="refused"):
            run(Job("small", 1, 1, 1, 5))


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="ours ended before it answered; its log ends with: .*RESERVE"):
        with Server(OURS, tmp_path, environment={"DICOM_SERVER_RESERVE_MEGABYTES": "many"}):
            pass


def test_a_filled_index_is_served_and_grows(tmp_path: Path) -> None:
    def look(server: Server, timing: Timing) -> None:
        server.stop()
        index = open_index(f"sqlite://{server.folder / 'data' / filled.NAME}")
        seen.append(index.counts())
        index.close()

    seen = []
    figures = Measurement(tmp_path, quick=True, fill=650, on_server=look).measure(LOADS["filled"], FILLED)
    patients, studies, series, instances = seen[0]
    assert (patients, studies, series, instances) == (3 + 1, 3 + 1, 7 + 1, 650 + figures.sent)


def test_percentiles_are_values_that_were_measured() -> None:
    hundred = [float(value) for value in range(100, 0, -1)]
    assert [percentile(hundred, p) for p in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7


def test_rounds_rotate_and_medians_are_told() -> None:
    class Recorded:
        """Measures nothing."""
        rates = iter([10, 20, 30, 40, 50, 60, 70])

        def measure(self, load, server: str) -> Figures:
            order.append(server)
            if server == "c" and len(order) > 3:
                raise LoadFailed("no")
            return Figures(next(self.rates), 0, 0, 0, 0, 0, 0)

    order = []
    results = dict(rounds(Recorded(), LOADS["small1"], ["a", "b", "c"], 3, lambda text: None))
    assert order == ["a", "b", "c", "b", "c", "a", "a", "b"]
    assert isinstance(results["c"], LoadFailed)
    assert (results["a"].rate, results["b"].rate) == (50, 40)


def test_medians_go_field_by_field() -> None:
    several = [Figures(rate, 9 - rate, 0, 0, rate, 0, 5) for rate in (3, 1, 2)]
    assert median(several) == Figures(2, 7, 0, 0, 2, 0, 5)


def test_the_table_has_a_row_and_a_ratio_for_each_server() -> None:
    results = {OURS: Figures(300, 0.001, 0.002, 0.003, 25_000_000, 0.5, 100, (1, 0.05)),
               ORTHANC: Figures(100, 0.01, 0.02, 0.03, 50_000_000, 0.5, 100)}
    ours, syncs, orthanc = table.rows(LOADS["small1"], results)
    assert ours.split()[-6:] == ["300", "/s", "1.00", "2.00", "3.00", "25.0"]
    assert syncs.split() == "syncs per instance: 1.000 of slots, 0.050 others'".split()
    assert orthanc.split()[-2:] == ["3.00", "x"]
    on_postgres = {ON_POSTGRES[server]: replace(result, rate=result.rate / divisor, syncs=None)
                   for (server, result), divisor in zip(results.items(), (2, 4))}
    *_, ours, orthanc = table.rows(LOADS["small1"], results | on_postgres)
    assert (ours.split()[-2:], orthanc.split()[-2:]) == (["2.00", "x"], ["6.00", "x"])
    failed = list(table.rows(LOADS["small1"], results | {ORTHANC: LoadFailed("A700")}))[-1]
    assert "FAILED" in failed and failed.endswith("A700")


def test_the_command_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--quick", "--peers", "", "--loads", "small1,idle", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "dicom-server" in said and "small objects, 1 association" in said and "idle" in said
    assert list(tmp_path.iterdir()) == []


def test_with_postgres_each_archive_is_there_twice() -> None:
    options = bench.parser().parse_args(["--postgres"])
    assert bench.contestants(options) == [OURS, "ours+pg", ORTHANC, "orthanc+pg", STORESCP]
    assert bench.contestants(bench.parser().parse_args([])) == [OURS, ORTHANC, STORESCP]


def test_what_is_missing_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                             tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ORTHANC", raising=False)
    monkeypatch.setattr(peers, "PLUGIN", tmp_path / "absent")
    for options, packages in ([], "orthanc dcmtk"), (["--postgres"], "orthanc orthanc-postgresql dcmtk"):
        assert bench.main(["--quick", "--loads", "idle", "--folder", str(tmp_path), *options]) == 1
        said = capsys.readouterr()
        assert (said.out, said.err) == ("", f"Please install these packages first: apt install {packages}\n")


def test_the_profile_accounts_for_all_of_the_time(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.bench", "--profile", "--quick", "--folder", str(tmp_path)],
                          capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    shares = [float(line.split()[-2]) for line in done.stdout.splitlines() if line.endswith(" %") and " us " in line]
    assert len(shares) == 16
    assert all(share >= 0 for share in shares)
    assert sum(shares) == pytest.approx(200, abs=2)
    assert done.stdout.count("time that is Python:") == 2
