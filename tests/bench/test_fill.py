"""That the generated population is what it says: the entries are those that the scanner makes of the datasets."""
from __future__ import annotations

from collections import Counter
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset

from dicomserver.index import Instance, open_index
from dicomserver.index.text import decode
from dicomserver.services.describe import describe, scanner_for
from dicomserver.standard.uids import EXPLICIT_VR_LE, IMPLICIT_VR_LE
from dicomserver.wire.packed import unpack
from tests.bench import fill
from tests.bench.content import datasets, entries
from tests.bench.names import SCRIPTS
from tests.bench.population import INSTANCES, MODALITIES, Study, studies
from tests.index.emptied import emptied
from tests.postgres import PostgresServer

MANY = 3000


def one_of_each_script() -> list[Study]:
    """The first study of a patient of each script."""
    first: dict[str, Study] = {}
    for study in studies(MANY):
        first.setdefault(study.patient.script.name, study)
    return list(first.values())


def read(encoded: bytes) -> Dataset:
    """Explicit VR little endian, read by pydicom."""
    return dcmread(BytesIO(encoded), force=True)


def written(content: Dataset, *, implicit: bool) -> bytes:
    """Encoded anew by pydicom."""
    buffer = DicomIO(BytesIO())
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, True
    write_dataset(buffer, content)
    return buffer.parent.getvalue()


def scanned(encoded: bytes, transfer_syntax_uid: str, like: Instance) -> Instance:
    """What the scanner makes of a dataset; what it could not know is taken over."""
    scanner = scanner_for(transfer_syntax_uid)
    scanner.feed(encoded)
    scanner.finish()
    return describe(scanner, transfer_syntax_uid=like.transfer_syntax_uid, slot=like.slot,
                    file_length=like.file_length, dataset_offset=like.dataset_offset, checksum=like.checksum,
                    received_at=like.received_at, source_ae=like.source_ae, receiving_ae=like.receiving_ae)


def texts(entry: Instance) -> list[tuple]:
    """All that an entry keeps, as text: pydicom puts other escape sequences where several are right."""
    levels = (entry.patient, entry.study, entry.series, entry.instance)
    return [entry.character_set, entry.sop_instance_uid, *(
        one[:4] + (decode(one.value, entry.character_set).rstrip(),) for level in levels for one in unpack(level))]


@pytest.mark.parametrize("study", one_of_each_script(), ids=lambda study: study.patient.script.name)
def test_entries_are_what_the_scanner_makes_of_the_datasets(study: Study) -> None:
    for entry, dataset in zip(entries(study), datasets(study), strict=True):
        assert scanned(dataset.encoded, EXPLICIT_VR_LE, entry) == entry
        for transfer_syntax in (EXPLICIT_VR_LE, IMPLICIT_VR_LE):
            again = written(read(dataset.encoded), implicit=transfer_syntax == IMPLICIT_VR_LE)
            assert texts(scanned(again, transfer_syntax, entry)) == texts(entry)


@pytest.mark.parametrize("study", one_of_each_script(), ids=lambda study: study.patient.script.name)
def test_everybody_reads_the_same_names(study: Study) -> None:
    script, name = study.patient.script, study.patient.name
    for dataset in datasets(study):
        content = read(dataset.encoded)
        content.decode()
        assert content.PatientName == name
        assert content.ReferringPhysicianName == study.referring_physician
        assert content.StudyDescription == f"{study.modality.name} {script.body_parts[study.part]}"
        assert len(content.PixelData) == content.Rows * content.Columns
    assert decode(script.encode(name), script.character_set) == name


def test_the_population_is_plausible() -> None:
    all_studies = list(studies(MANY))
    of_patient = Counter(study.patient.patient_id for study in all_studies)
    assert set(of_patient.values()) == {1, 2, 3, 4}
    assert len({study.uid for study in all_studies}) == len({study.accession_number for study in all_studies}) == MANY
    assert {study.patient.script.name for study in all_studies} == {script.name for script in SCRIPTS}
    assert {study.modality.name for study in all_studies} == {modality.name for modality in MODALITIES}
    ascii_names = sum(study.patient.name.isascii() for study in all_studies)
    assert 0.5 < ascii_names / MANY < 0.8
    assert {study.date[:4] for study in all_studies} == {str(year) for year in range(2015, 2025)}
    assert all(max(map(len, (study.uid, *(entry.sop_instance_uid for entry in entries(study))))) <= 64
               for study in all_studies)
    assert all(len(study.accession_number) <= 16 for study in all_studies)


def test_fewer_studies_are_the_first_of_more_and_a_seed_is_another_clinic() -> None:
    assert list(studies(50)) == list(studies(100))[:50]
    assert list(fill.instances(20)) == list(fill.instances(20))
    assert not {study.uid for study in studies(50)} & {study.uid for study in studies(50, seed=2)}


def test_postgresql_gets_a_copy(tmp_path: Path, postgres: PostgresServer) -> None:
    url = emptied(postgres)
    assert fill.main(["--studies", "30", url]) == 0
    with closing(open_index(url)) as index:
        assert index.counts()[1::2] == (30, 150) and not index.is_fresh


def test_the_command_fills_an_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite://{tmp_path / 'index.db'}"
    assert fill.main(["--studies", "30", url]) == 0
    assert capsys.readouterr().out.startswith("150 instances of 30 studies, ")
    index = open_index(url)
    try:
        assert not index.is_fresh
        counts = index.counts()
        assert (counts.studies, counts.instances) == (30, 30 * INSTANCES)
        assert counts.patients == len({study.patient.patient_id for study in studies(30)})
        assert counts.series == sum(len(study.split) for study in studies(30))
    finally:
        index.close()


def test_the_command_says_what_it_cannot_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert fill.main(["--studies", "1", "nowhere://x"]) == 1
    assert "nowhere" in capsys.readouterr().err
