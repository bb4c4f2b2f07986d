"""From the identifier of a C-MOVE-RQ or C-GET-RQ to the instances that it asks for (PS3.4 C.4.2.2, C.4.3.2)."""
from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from dicomserver.index import Index, IndexFault
from dicomserver.index.search.criteria import Empty, Equal
from dicomserver.index.search.query import Condition, Query
from dicomserver.services.identifiers import (
    IdentifierRefused,
    Options,
    check_hierarchy,
    criterion_of_key,
    level_of,
    read_elements,
    value_of,
)
from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.standard import query as model
from dicomserver.standard import statuses
from dicomserver.standard.attributes import Level
from dicomserver.wire.command import CommandSet
from dicomserver.wire.identifier import IdentifierElement


def read_retrieval(elements: Iterable[IdentifierElement], levels: tuple[Level, ...], options: Options) -> Query:
    """The query of level INSTANCE. levels: of the information model. Keys that are not unique ones are ignored, but for
    the issuer of a patient's id.

    Raises IdentifierRefused: the unique key of the level needs a value, or several UIDs; those above it exactly one,
    unless relational retrieval was negotiated.
    """
    by_tag = {element.tag: element for element in elements}
    character_set = value_of(by_tag, model.SPECIFIC_CHARACTER_SET)
    level = level_of(by_tag, levels)
    if not options.relational:
        check_hierarchy(by_tag, level, levels, character_set)
    return Query(Level.INSTANCE, tuple(_conditions(by_tag, level, levels, character_set)))


def _conditions(by_tag: Mapping[int, IdentifierElement], level: Level, levels: tuple[Level, ...],
                character_set: bytes) -> Iterable[Condition]:
    for one in levels:
        tag = model.UNIQUE_KEYS[one]
        attribute = model.query_attributes()[0, tag]
        criterion = criterion_of_key(attribute.vr, tag, value_of(by_tag, tag), character_set)
        if isinstance(criterion, Equal):
            yield Condition(attribute, criterion)
        elif one is level or criterion is not None:
            raise IdentifierRefused(statuses.DATASET_MISMATCH, "a unique key has no value, or a wild card", tag)
        if one is Level.PATIENT:
            yield from _issuer(by_tag, character_set)
        if one is level:
            return


def _issuer(by_tag: Mapping[int, IdentifierElement], character_set: bytes) -> Iterable[Condition]:
    tag = model.ISSUER_OF_PATIENT_ID
    attribute = model.query_attributes()[0, tag]
    criterion = criterion_of_key(attribute.vr, tag, value_of(by_tag, tag), character_set)
    if isinstance(criterion, (Equal, Empty)):
        yield Condition(attribute, criterion)
    elif criterion is not None:
        raise IdentifierRefused(statuses.DATASET_MISMATCH, "Issuer of Patient ID has a wild card", tag)


def _refuse_several_patients(index: Index, query: Query) -> None:
    """An id is one patient's only within its issuer: better nobody's images than those of somebody else too."""
    first, *others = query.conditions
    if first.attribute.tag == model.UNIQUE_KEYS[Level.PATIENT] and not others \
            and index.has_several_issuers(first.criterion.texts):
        raise IdentifierRefused(statuses.DATASET_MISMATCH, "several patients have this id: give Issuer of Patient ID",
                                model.ISSUER_OF_PATIENT_ID)


def find_instances(index: Index, acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet,
                   levels_of: Mapping[str, tuple[Level, ...]], seconds: float) -> Sequence[int]:
    """The ids of what a request asks for. levels_of: by SOP class. seconds: what the index may take.

    Raises IdentifierRefused; the index's failures are A701, as the matches cannot be counted.
    """
    sop_class = context.abstract_syntax
    elements = read_elements(acceptor, context, request, levels_of)
    options = Options.of(acceptor.application_information.get(sop_class, b""))
    query = read_retrieval(elements, levels_of[sop_class], options)
    deadline = time.monotonic() + seconds
    try:
        _refuse_several_patients(index, query)
        return index.instance_ids(query, lambda: time.monotonic() < deadline)
    except IndexFault as error:
        raise IdentifierRefused(statuses.REFUSED_CANNOT_COUNT_MATCHES, f"the index does not answer: {error}") from None
