"""Indexes with many instances in them and nothing behind them: only the index is to be slow, if anything is."""
from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from dicomserver.index import Index, Instance, begin_copy, open_index, open_source, open_target, run_pass
from dicomserver.standard.uids import EXPLICIT_VR_LE
from dicomserver.wire.packed import Element, pack
from tests.bench.fill import fill
from tests.bench.payloads import CT
from tests.bench.servers import Server

IN_A_SERIES, IN_A_STUDY = 100, 300
NO_SCRUB = {"DICOM_SERVER_SCRUB_DAYS": "0"}     # which would look for the files, and say of each that it is missing
NAME = "dicom-server.db"            # where the server's settings have it when nothing else is said


def put_index(cache: Path, server: Server, count: int) -> None:
    """Puts an index of `count` instances into the data directory that a server is about to make.

    It is made once in `cache` and copied from there.
    """
    def put(index: Index) -> None:
        index.add_many(instances(count))
        index.mark_complete()

    _copy(_made(cache / f"filled-{count}.db", put), server)


def put_studies(cache: Path, server: Server, number: int) -> None:
    """The same with the first `number` studies of the population; into its database, if the server has one."""
    made = _made(cache / f"studies-{number}.db", lambda index: fill(index, number))
    if server.database is None:
        _copy(made, server)
        return
    with closing(open_source(f"sqlite://{made}")) as source, closing(open_target(server.database.url)) as target:
        begin_copy(target, source, replace=False)
        run_pass(source, target, lambda rows, expected: None)
        target.finish()


def _made(path: Path, put: Callable[[Index], object]) -> Path:
    if not path.exists():
        new = path.with_suffix(".new")      # one that was cut short is no index for the next time
        new.unlink(missing_ok=True)
        index = open_index(f"sqlite://{new}")
        try:
            put(index)
        finally:
            index.close()
        new.rename(path)
    return path


def _copy(made: Path, server: Server) -> None:
    data = server.folder / "data"
    data.mkdir(mode=0o700)
    shutil.copyfile(made, data / NAME)
    (data / NAME).chmod(0o600)


def instances(count: int) -> Iterator[Instance]:
    """CT slices, a hundred to a series, three series to a study, each study of a patient of its own.

    Their UIDs are as unordered as those of real devices: the index of UIDs grows at all its ends.
    """
    study = series = ""
    of_patient = of_study = of_series = b""
    for number in range(count):
        if number % IN_A_STUDY == 0:
            study = _uid()
            of_patient = pack([_text(0x00100010, "PN", f"PATIENT{number}^BENCH"), _text(0x00100020, "LO", f"F{number}"),
                               _text(0x00100030, "DA", "19700131"), _text(0x00100040, "CS", "O")])
            day = number // IN_A_STUDY % 28 + 1
            of_study = pack([_text(0x00080020, "DA", f"202401{day:02}"), _text(0x00080030, "TM", "101530"),
                             _text(0x00080050, "SH", f"A{number}"), _text(0x00081030, "LO", "CHEST CT")])
        if number % IN_A_SERIES == 0:
            series = _uid()
            of_series = pack([_text(0x00080060, "CS", "CT"), _text(0x00200011, "IS", "1"),
                              _text(0x0008103E, "LO", "AXIAL")])
        of_instance = pack([_text(0x00200013, "IS", str(number % IN_A_SERIES)), _text(0x00080008, "CS", "ORIGINAL")])
        yield Instance(
            study_instance_uid=study, series_instance_uid=series, sop_instance_uid=_uid(),
            sop_class_uid=CT.sop_class_uid, transfer_syntax_uid=EXPLICIT_VR_LE, slot=number + 1, file_length=527_000,
            dataset_offset=400, checksum=number, received_at=1_700_000_000_000_000 + number, source_ae="BENCH",
            receiving_ae="DICOMKIT_SCP", character_set=b"ISO_IR 100", patient=of_patient, study=of_study,
            series=of_series, instance=of_instance)


def _uid() -> str:
    return f"2.25.{uuid.uuid4().int}"


def _text(tag: int, vr: str, value: str) -> Element:
    return Element(tag, 0, 0, vr, value.encode("ascii"))
