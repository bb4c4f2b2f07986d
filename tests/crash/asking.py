"""What a server has, as peers see it: C-FIND down to the instances, and C-GET of all of them."""
from __future__ import annotations

from dataclasses import dataclass

from tests.crash.traffic import CT
from tests.interop.find.asker import Asker
from tests.interop.retriever import GET, Retriever
from tests.interop.synthetic import EXPLICIT

_SUCCESS = 0x0000


@dataclass(slots=True)
class Answers:
    """found: SOP Instance UIDs; served: their datasets; problems: one line each."""

    found: set[str]
    served: dict[str, bytes]
    problems: list[str]


def ask_all(port: int, called: str = "ANY-SCP") -> Answers:
    """Each study with a query for each of its series, and a retrieval."""
    answers = Answers(set(), {}, [])
    with Asker(port, called=called) as asker:
        studies = _found(asker, "STUDY", {}, "StudyInstanceUID", answers)
        for study in studies:
            keys = {"StudyInstanceUID": study}
            for series in _found(asker, "SERIES", keys, "SeriesInstanceUID", answers):
                of_series = keys | {"SeriesInstanceUID": series}
                answers.found.update(_found(asker, "IMAGE", of_series, "SOPInstanceUID", answers))
    if studies:
        _retrieve(port, called, studies, answers)
    answers.problems += [f"{uid} is found and not served" for uid in sorted(answers.found - answers.served.keys())]
    answers.problems += [f"{uid} is served and not found" for uid in sorted(answers.served.keys() - answers.found)]
    return answers


def _found(asker: Asker, level: str, keys: dict[str, str], wanted: str, answers: Answers) -> list[str]:
    answer = asker.find(level, keys | {wanted: ""})
    if answer.status != _SUCCESS:
        answers.problems.append(f"a query for {wanted} ended with {answer.status:04X}H")
    matches = [match for match in answer.matches if wanted in match]
    if len(matches) < len(answer.matches):
        answers.problems.append(f"a query for {wanted} found what has none")
    return [str(match[wanted].value) for match in matches]


def _retrieve(port: int, called: str, studies: list[str], answers: Answers) -> None:
    with Retriever(port, GET["study"], [(CT, EXPLICIT)], called=called) as retriever:
        for study in studies:
            retrieved = retriever.get("STUDY", {"StudyInstanceUID": study})
            answers.served |= {one.sop_instance: one.dataset for one in retrieved.stored}
            if retrieved.status != _SUCCESS:
                answers.problems.append(f"a retrieval ended with {retrieved.status:04X}H")
