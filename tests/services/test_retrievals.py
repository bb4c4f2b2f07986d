"""Which instances an identifier asks for (PS3.4 C.4.2.2, C.4.3.2)."""
from __future__ import annotations

import pytest

from dicomserver.index.search.criteria import Equal
from dicomserver.services.identifiers import IdentifierRefused, Options
from dicomserver.services.retrievals import read_retrieval
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import GET_LEVELS, MOVE_LEVELS, query_sequences
from dicomserver.wire.identifier import IdentifierDecoder
from tests.interop.find.keys import Keys, encoded
from tests.interop.retriever import GET, MOVE

STUDY, SERIES, IMAGE = "1.2.3", "1.2.3.4", "1.2.3.4.5"
ABOVE = {"PATIENT": {}, "STUDY": {"PatientID": "P1"}, "SERIES": {"PatientID": "P1", "StudyInstanceUID": STUDY},
         "IMAGE": {"PatientID": "P1", "StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES}}
KEY = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
VALUE = {"PATIENT": "P1", "STUDY": STUDY, "SERIES": SERIES, "IMAGE": IMAGE}
MODELS = {"patient": ["PATIENT", "STUDY", "SERIES", "IMAGE"], "study": ["STUDY", "SERIES", "IMAGE"],
          "patient/study": ["PATIENT", "STUDY"]}
EACH = [(model, level) for model, levels in MODELS.items() for level in levels]


def read(model: str, level: str | None, keys: Keys, relational: bool = False) -> dict[str, tuple[str, ...]]:
    """The conditions by keyword."""
    identifier = dict(keys) | ({} if level is None else {"QueryRetrieveLevel": level})
    elements = IdentifierDecoder(True, False, frozenset(query_sequences())).decode(encoded(identifier))
    query = read_retrieval(elements, MOVE_LEVELS[MOVE[model]], Options(relational=relational))
    assert query.level is Level.INSTANCE and all(isinstance(one.criterion, Equal) for one in query.conditions)
    return {one.attribute.keyword: tuple(sorted(one.criterion.texts)) for one in query.conditions}


def status(*asked, **more) -> int:
    with pytest.raises(IdentifierRefused) as refused:
        read(*asked, **more)
    return refused.value.status


def above(model: str, level: str) -> Keys:
    names = {KEY[one] for one in MODELS[model]}
    return {name: value for name, value in ABOVE[level].items() if name in names}


def test_both_services_have_the_same_models() -> None:
    assert [MOVE_LEVELS[MOVE[name]] for name in MODELS] == [GET_LEVELS[GET[name]] for name in MODELS]


@pytest.mark.parametrize("model, level", EACH)
def test_one_value(model: str, level: str) -> None:
    keys = above(model, level) | {KEY[level]: VALUE[level]}
    assert read(model, level, keys) == {name: (value,) for name, value in keys.items()}
    assert read(model, level, {**keys, "PatientName": "X*", "Modality": "CT", 0x00091001: "x"}) == read(
        model, level, keys)


@pytest.mark.parametrize("model, level", EACH)
def test_a_list(model: str, level: str) -> None:
    assert read(model, level, above(model, level) | {KEY[level]: "1.2\\3.4\\5.6"})[KEY[level]] == ("1.2", "3.4", "5.6")


@pytest.mark.parametrize("model, level", EACH)
@pytest.mark.parametrize("value", [None, ""])
def test_no_value(model: str, level: str, value: str | None) -> None:
    assert status(model, level, above(model, level) | ({} if value is None else {KEY[level]: value})) == 0xA900


@pytest.mark.parametrize("value", ["*", "P?", "P*", '""', " "])
def test_no_wild_card_gets_a_patient(value: str) -> None:
    assert status("patient", "PATIENT", {"PatientID": value}) == 0xA900


@pytest.mark.parametrize("model, level", [one for one in EACH if above(*one)])
@pytest.mark.parametrize("value", [None, "", "*", "1.2\\3.4"])
def test_the_keys_above(model: str, level: str, value: str | None) -> None:
    """Exactly one value each; where relational retrieval was negotiated they may be left out, or be a list."""
    for name in above(model, level):
        keys = {**above(model, level), KEY[level]: VALUE[level]}
        keys = {**keys, name: value} if value is not None else {one: keys[one] for one in keys if one != name}
        assert status(model, level, keys) == 0xA900
        if value != "*":
            found = read(model, level, keys, relational=True)
            assert found.get(name, ()) == tuple(value.split("\\") if value else ())
        elif name == "PatientID":
            assert name not in read(model, level, keys, relational=True)


@pytest.mark.parametrize("model, level", [
    (model, level) for model, levels in MODELS.items() for level in (None, "", "PATIENTS", "INSTANCE", *KEY)
    if level not in levels])
def test_a_level_that_the_model_lacks(model: str, level: str | None) -> None:
    assert status(model, level, {name: "1" for name in KEY.values()}) == 0xA900
    assert status(model, level, {name: "1" for name in KEY.values()}, relational=True) == 0xA900


def test_keys_below_the_level_do_not_count() -> None:
    assert read("study", "STUDY", {"StudyInstanceUID": STUDY, "SeriesInstanceUID": "*", "SOPInstanceUID": IMAGE}) == {
        "StudyInstanceUID": (STUDY,)}
