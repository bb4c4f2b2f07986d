"""`python -m tests.bench`: our server beside Orthanc and DCMTK's storescp, on this machine, in one run."""
from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import find_table, finds, peers, shares, soak, table
from tests.bench.loads import FILLED, LOADS, Load, Measurement, rounds
from tests.bench.sender import LoadFailed
from tests.bench.servers import ON_POSTGRES, ORTHANC, OURS, STORESCP

DEFAULT_FOLDER = "/var/tmp"         # /tmp may be memory, where syncs cost nothing
# Whose queries are compared with ours.
ORTHANC_LIKE = {OURS: ORTHANC, ON_POSTGRES[OURS]: ON_POSTGRES[ORTHANC]}


def parser() -> argparse.ArgumentParser:
    """The options of the bench."""
    made = argparse.ArgumentParser(
        prog="python -m tests.bench", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures our server, Orthanc and DCMTK's storescp (no index, no syncs) with the same loads,\n"
                    "one after the other, each as it ships. Medians of some rounds; compare the ratios of one run.\n"
                    "ORTHANC in the environment names another Orthanc than the one in the path.",
        epilog="loads:\n" + "\n".join(f"  {load.name:12}{load.says}" for load in LOADS.values()))
    made.add_argument("--loads", type=_names(LOADS), default=[*LOADS], metavar="A,B", help="default: all")
    made.add_argument("--peers", type=_names([ORTHANC, STORESCP]), default=[ORTHANC, STORESCP], metavar="A,B",
                      help=f"of {ORTHANC},{STORESCP}; \"\" for none (default: both)")
    made.add_argument("--postgres", action="store_true",
                      help="our server and Orthanc with their index in PostgreSQL, too; compared with each other")
    made.add_argument("--rounds", type=int, default=3, metavar="N", help="of which the medians are told (default: 3)")
    made.add_argument("--quick", action="store_true", help="few instances and one round: to see that it works")
    made.add_argument("--sync-ms", type=float, metavar="N", help="every server's syncs take N ms at least")
    made.add_argument("--fill", type=int, default=200_000, metavar="N",
                      help="instances in the index in the load \"filled\" (default: 200000)")
    made.add_argument("--folder", type=Path, default=Path(DEFAULT_FOLDER), metavar="DIR",
                      help=f"where the servers store; 5 GB for the large load (default: {DEFAULT_FOLDER})")
    made.add_argument("--find", action="store_true",
                      help="instead: queries over many studies, beside Orthanc's over as many as it takes in in time")
    made.add_argument("--studies", type=int, metavar="N", help="with --find (default: 100000; 200 with --quick)")
    made.add_argument("--keep", type=Path, metavar="DIR",
                      help="with --find: where indexes that were filled stay, for the next time")
    made.add_argument("--feed-seconds", type=float, default=600, metavar="N",
                      help="with --find: how long studies are sent to Orthanc (default: 600)")
    made.add_argument("--soak", type=int, nargs="?", const=10_000, metavar="N",
                      help="instead: so many associations of mixed good and bad traffic with our server alone, and\n"
                           "whether its memory, descriptors and threads stay flat (default: 10000)")
    made.add_argument("--profile", action="store_true",
                      help="instead: where our server's time goes, and what share of it is Python")
    return made


def _names(known):
    def checked(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return names
    return checked


def main(arguments: list[str] | None = None) -> int:
    """Runs the bench; -> the exit code: 1 where our server failed, or a peer is not there."""
    options = parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        Path(folder).chmod(0o711)       # PostgreSQL, another user's, gets to what slows its syncs
        if options.profile:
            return shares.main(Path(folder), options.quick)
        if options.soak:
            return soak.main(Path(folder), options.soak)
        try:
            peers.install(contestants(options))
        except peers.CannotInstall as error:
            print(error, file=sys.stderr)
            return 1
        if options.find:
            return compare_finds(options, Path(folder))
        return compare(options, Measurement(Path(folder), options.quick, options.sync_ms, options.fill,
                                            databases=options.folder))


def compare(options: argparse.Namespace, measurement: Measurement) -> int:
    """Prints the table; -> the exit code."""
    servers = contestants(options)
    print(peers.versions(servers))
    print(_where(measurement), end="\n\n")
    print(table.heading())
    code = 0
    for load in (LOADS[name] for name in options.loads):
        results = _results(measurement, load, servers, 1 if options.quick else options.rounds)
        for row in table.rows(load, results):
            print(row, flush=True)
        if FILLED in results:
            print(table.comparison(results, measurement.fill))
        if isinstance(results[OURS], LoadFailed) or isinstance(results.get(FILLED), LoadFailed):
            code = 1
    return code


def contestants(options: argparse.Namespace) -> list[str]:
    """Who is measured, where a load does not say it."""
    servers = [OURS, *options.peers]
    if not options.postgres:
        return servers
    return [one for server in servers for one in (server, ON_POSTGRES.get(server)) if one]


def _results(measurement: Measurement, load: Load, servers: list[str], times: int) -> table.Results:
    taking_part = [one for one in load.contestants if one in (*servers, FILLED)] or servers
    measured = dict(rounds(measurement, load, taking_part, times, _say))
    _say("")
    return measured


def compare_finds(options: argparse.Namespace, folder: Path) -> int:
    """Prints the tables of queries: of ours, then of each engine's beside Orthanc with the same; -> the exit code."""
    effort = finds.QUICK if options.quick else finds.Effort()
    number = options.studies or (200 if options.quick else 100_000)
    servers = contestants(options)
    print(peers.versions(servers), end="\n\n")
    failed = False

    def ours(name: str, studies: int) -> finds.Findings:
        nonlocal failed
        _say(f"{name}: {studies} studies")
        found = finds.ours(name, folder, studies, effort, kept=options.keep, databases=options.folder)
        failed = failed or found.has_failed()
        return found

    try:
        alone = {name: ours(name, number) for name in servers if name in ORTHANC_LIKE}
        _say("")
        print(*find_table.rows(*alone.values()), sep="\n", flush=True)
        for name, one in alone.items():
            if ORTHANC_LIKE[name] not in servers:
                continue
            _say(f"{ORTHANC_LIKE[name]}: as many studies as it takes in within {options.feed_seconds:g} s")
            theirs = finds.orthanc(ORTHANC_LIKE[name], folder, number, effort, options.feed_seconds,
                                   databases=options.folder)
            same = one if theirs.studies == number else ours(name, theirs.studies)
            _say("")
            print(*find_table.rows(same, theirs), sep="\n", flush=True)
    except LoadFailed as failure:
        print(f"FAILED: {failure}")
        return 1
    finally:
        _say("")
    return int(failed)


def _say(text: str) -> None:
    """What goes on just now, to whoever waits for it; "" takes it away again."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _where(measurement: Measurement) -> str:
    kind = subprocess.run(["stat", "-f", "-c", "%T", measurement.folder], capture_output=True, text=True).stdout.strip()
    slow = "" if measurement.sync_ms is None else f", every sync takes {measurement.sync_ms:g} ms at least"
    return f"stored in {measurement.folder.parent} ({kind}){slow}"


if __name__ == "__main__":
    sys.exit(main())
