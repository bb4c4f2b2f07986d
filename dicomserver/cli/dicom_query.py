"""`dicom-query`: what a server has (C-FIND)."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import closing

from dicomserver.cli import arguments, uids
from dicomserver.cli.arguments import Failed
from dicomserver.cli.matches import FORMATS, Column
from dicomserver.cli.peer import add_peer, peer_of
from dicomserver.config.problems import printable
from dicomserver.scu.failures import AssociationFailed
from dicomserver.scu.identifier import Key
from dicomserver.scu.peer import Peer
from dicomserver.scu.query import Match, QueryRequester, RequestFailed, associate, model_of
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import MODALITIES_IN_STUDY, query_attributes
from dicomserver.standard.statuses import DATASET_MISMATCH

_LEVELS = {"patient": Level.PATIENT, "study": Level.STUDY, "series": Level.SERIES, "instance": Level.INSTANCE}
_NOUNS = {"patient": "patient(s)", "study": "study(ies)", "series": "series", "instance": "instance(s)"}
# Keyword=heading in the table, keyword alone for what only programs get.
_COLUMNS = {
    "patient": "PatientName=Patient PatientID=ID PatientBirthDate=Born PatientSex=Sex "
               "NumberOfPatientRelatedStudies=Studies",
    "study": "PatientName=Patient PatientID=ID StudyDate=Date StudyTime ModalitiesInStudy=Mod "
             "StudyDescription=Description AccessionNumber=Accession ReferringPhysicianName PatientBirthDate "
             "PatientSex StudyID NumberOfStudyRelatedSeries=Series NumberOfStudyRelatedInstances=Images "
             "StudyInstanceUID=Study_UID",
    "series": "Modality=Mod SeriesNumber=No SeriesDate=Date SeriesTime SeriesDescription=Description "
              "BodyPartExamined=Body_part NumberOfSeriesRelatedInstances=Images StudyInstanceUID "
              "SeriesInstanceUID=Series_UID",
    "instance": "InstanceNumber=No ContentDate=Date ContentTime Rows=Rows Columns=Columns NumberOfFrames=Frames "
                "SOPClassUID StudyInstanceUID SeriesInstanceUID SOPInstanceUID=Instance_UID",
}
_LISTS = frozenset(("ModalitiesInStudy",))
_DATES = re.compile(r"\d{8}|\d{8}-(?:\d{8})?|-\d{8}", re.ASCII)


def parser() -> argparse.ArgumentParser:
    """The options of `dicom-query`."""
    made = arguments.tool_parser(
        "dicom-query", "Ask a server what it has (C-FIND). Values may have the wild cards * and ?.",
        'dicom-query pacs://localhost:11112 --aet TEST_SCU --called-ae TEST_PACS --patient "DOE*"',
        "dicom-query pacs.example:104 --study-date 20260101-20260131 --modality CT -f csv",
        "dicom-query pacs.example:104 -l series --study-uid 1.2.3.4.5 -f json")
    add_peer(made, "DICOM_QUERY")
    made.add_argument("-l", "--level", choices=_LEVELS, default="study", help="of what is asked for (default: study)")
    made.add_argument("--patient-name", "--patient", metavar="NAME", help='as DICOM writes it: "DOE^JOHN", "DOE*"')
    made.add_argument("--patient-id", metavar="ID")
    made.add_argument("--study-date", type=arguments.checked(_dates), metavar="D|D1-D2",
                      help="YYYYMMDD, or a range of two, of which one may be missing")
    made.add_argument("--study-uid", type=arguments.checked(uids.uid), metavar="UID")
    made.add_argument("--series-uid", type=arguments.checked(uids.uid), metavar="UID")
    made.add_argument("--accession-number", metavar="NUMBER")
    made.add_argument("--modality", metavar="MODALITY", help="CT, MR …; of a study: one of its modalities")
    made.add_argument("--study-description", metavar="TEXT")
    made.add_argument("--referring-physician", metavar="NAME")
    made.add_argument("--fuzzy", action="store_true", help="also names that sound like it, if the server can do that")
    made.add_argument("-f", "--format", choices=FORMATS, default="table", help="of the output (default: table)")
    return made


def run(options: argparse.Namespace) -> int:
    """Queries; the exit code. Raises Usage, Failed."""
    peer = peer_of(options)
    columns = _columns(options.level)
    matches = _Matches()
    # Where nobody reads our output any more, closing the iterator cancels the query.
    with closing(matches.asked(peer, options, columns)) as arriving:
        FORMATS[options.format](arriving, columns, sys.stdout)
    if matches.failure and not matches.count:
        raise Failed(matches.failure)
    if options.format == "table":
        print(f"Total: {matches.count} {_NOUNS[options.level]}")
    if matches.failure:
        print(f"dicom-query: incomplete: {matches.failure}", file=sys.stderr)
        return arguments.EXIT_PARTIAL
    return arguments.EXIT_SUCCESS


class _Matches:
    """What the server has answered so far. failure: why it stopped, "" if it did not."""

    def __init__(self) -> None:
        self.count = 0
        self.failure = ""

    def asked(self, peer: Peer, options: argparse.Namespace, columns: list[Column]) -> Iterator[Match]:
        """The matches; they end where the query fails, so that what came before can be shown."""
        level = _LEVELS[options.level]
        is_rootless = (level >= Level.SERIES and not options.study_uid) or (
            level is Level.INSTANCE and not options.series_uid)
        try:
            with associate(peer, model_of(level), relational=is_rootless,
                           fuzzy=options.fuzzy) as association:
                found = QueryRequester(association, model_of(level)).find(level, _keys(options, columns))
                with closing(found):
                    for match in found:
                        self.count += 1
                        yield match
        except AssociationFailed as error:
            self.failure = f"the server at {peer.host}:{peer.port} {error}"
        except RequestFailed as error:
            self.failure = f"the server at {peer.host}:{peer.port} {error}"
            if error.comment:
                self.failure += f" ({printable(error.comment)})"
            if error.status == DATASET_MISMATCH and is_rootless:
                needed = "--study-uid" if level is Level.SERIES else "--study-uid and --series-uid"
                self.failure += f"; it wants {needed} for this level"


def _columns(level: str) -> list[Column]:
    by_keyword = {attribute.keyword: attribute for attribute in query_attributes().values() if not attribute.sequence}
    made = []
    for word in _COLUMNS[level].split():
        keyword, _, heading = word.partition("=")
        attribute = by_keyword[keyword]
        made.append(Column(keyword, attribute.tag, attribute.vr, heading.replace("_", " "), keyword in _LISTS))
    return made


def _keys(options: argparse.Namespace, columns: list[Column]) -> list[Key]:
    """Every column, and what restricts the answer."""
    modality = (MODALITIES_IN_STUDY, "CS") if options.level == "study" else (0x00080060, "CS")
    typed = {
        (0x00100010, "PN"): options.patient_name, (0x00100020, "LO"): options.patient_id,
        (0x00080020, "DA"): options.study_date, (0x0020000D, "UI"): options.study_uid,
        (0x0020000E, "UI"): options.series_uid, (0x00080050, "SH"): options.accession_number,
        modality: options.modality, (0x00081030, "LO"): options.study_description,
        (0x00080090, "PN"): options.referring_physician,
    }
    keys = {column.tag: Key(column.tag, column.vr) for column in columns}
    return list((keys | {tag: Key(tag, vr, value) for (tag, vr), value in typed.items() if value}).values())


def _dates(text: str) -> str:
    if not _DATES.fullmatch(text):
        raise ValueError("a date (YYYYMMDD) or a range of dates (YYYYMMDD-YYYYMMDD)")
    return text
