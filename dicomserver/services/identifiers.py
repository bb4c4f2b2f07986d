"""From the identifier of a C-FIND-RQ to a query of the index and the form of its answers (PS3.4 C.2, C.4.1, C.6)."""
from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from dicomserver.index.search.criteria import Criterion, Equal, Within
from dicomserver.index.search.keys import BadKey, TooManyValues, criterion_of
from dicomserver.index.search.query import Condition, ItemCondition, Moment, Query, computed_column, packed_column
from dicomserver.index.search.times import Span, date_time_span
from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.standard import query as model
from dicomserver.standard import statuses
from dicomserver.standard.attributes import Attribute, Level
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.standard.uids import is_valid_uid
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import response_to
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.identifier import IdentifierDecoder, IdentifierElement
from dicomserver.wire.matches import ResponseField, Source

# PS3.4 Table C.5-1: what a requestor may propose, by byte. Time zones and enhanced conversion: not here.
_RELATIONAL, _COMBINED, _FUZZY = 0, 1, 2
_SUPPORTED = frozenset({_RELATIONAL, _COMBINED, _FUZZY, 5, 6})     # and empty-value, multiple-value matching
_CONSTANT = frozenset({model.SPECIFIC_CHARACTER_SET, model.QUERY_RETRIEVE_LEVEL, model.RETRIEVE_AE_TITLE,
                       model.INSTANCE_AVAILABILITY})


class IdentifierRefused(Exception):
    """The request fails: its status, why in words, and the offending element's tag where there is one."""

    def __init__(self, status: int, comment: str, offending: int | None = None) -> None:
        super().__init__(comment)
        self.status = status
        self.offending = offending


@dataclass(frozen=True, slots=True)
class Options:
    """What was negotiated for the association (PS3.4 C.5.1.1). fuzzy_names: fuzzy semantic matching."""

    relational: bool = False
    combined_date_time: bool = False
    fuzzy_names: bool = False

    @staticmethod
    def answer(proposed: bytes) -> bytes:
        """The Service-class-application-information of the acceptor to that of the requestor."""
        return bytes(int(value == 1 and byte in _SUPPORTED) for byte, value in enumerate(proposed[:7]))

    @staticmethod
    def answer_of_retrieval(proposed: bytes) -> bytes:
        """The same for C-MOVE and C-GET: relational retrieval, and no enhanced conversion (PS3.4 C.5.2.1, C.5.3.1)."""
        return bytes(int(value == 1 and byte == _RELATIONAL) for byte, value in enumerate(proposed[:2]))

    @classmethod
    def of(cls, granted: bytes) -> Options:
        """From our answer; empty where nothing was proposed."""
        return cls(*(granted[byte:byte + 1] == b"\1" for byte in (_RELATIONAL, _COMBINED, _FUZZY)))


@dataclass(slots=True)
class Question:
    """A query, and the elements of each response by ascending tag. all_supported: whether every key is answered."""

    query: Query
    fields: list[ResponseField]
    all_supported: bool
    character_set: bytes            # raw (0008,0005) of the identifier


def read_question(elements: Iterable[IdentifierElement], sop_class: str, options: Options, ae_title: str) -> Question:
    """elements: of the identifier. sop_class: one of FIND_LEVELS. Raises IdentifierRefused."""
    by_tag = {element.tag: element for element in elements}
    character_set = value_of(by_tag, model.SPECIFIC_CHARACTER_SET)
    level = level_of(by_tag, model.FIND_LEVELS[sop_class])
    if not options.relational:
        check_hierarchy(by_tag, level, model.FIND_LEVELS[sop_class], character_set)
    reader = _Reader(level, character_set, options.fuzzy_names)
    for tag, element in by_tag.items():
        if tag not in _CONSTANT and tag & 0xFFFF:      # (gggg,0000), a group length, is no attribute
            reader.read(element)
    if options.combined_date_time:
        reader.combine()
    query = Query(level, (*reader.conditions.values(), *reader.others), tuple(reader.computed))
    fields = [*reader.fields, *(_computed_field(query, tag) for tag in reader.computed),
              _constant(model.QUERY_RETRIEVE_LEVEL, "CS", model.LEVEL_NAMES[level]),
              _constant(model.RETRIEVE_AE_TITLE, "AE", ae_title),
              _constant(model.INSTANCE_AVAILABILITY, "CS", "ONLINE")]
    return Question(query, sorted(fields), reader.all_supported, character_set)


def value_of(by_tag: Mapping[int, IdentifierElement], tag: int) -> bytes:
    """The raw value of an element, empty where it is not there."""
    element = by_tag.get(tag)
    return b"" if element is None else element.value


def level_of(by_tag: Mapping[int, IdentifierElement], levels: Iterable[Level]) -> Level:
    """The Query/Retrieve Level. levels: of the information model. Raises IdentifierRefused."""
    name = value_of(by_tag, model.QUERY_RETRIEVE_LEVEL).decode("ascii", "replace").strip(" \0")
    for level in levels:
        if model.LEVEL_NAMES[level] == name:
            return level
    raise IdentifierRefused(statuses.DATASET_MISMATCH, "Query/Retrieve Level is missing or none of the model",
                            model.QUERY_RETRIEVE_LEVEL)


def check_hierarchy(by_tag: Mapping[int, IdentifierElement], level: Level, levels: Iterable[Level],
                    character_set: bytes) -> None:
    """PS3.4 C.4.1.2.1: exactly one value for each unique key above the level. Raises IdentifierRefused."""
    for above in levels:
        if above >= level:
            return
        tag = model.UNIQUE_KEYS[above]
        vr = model.query_attributes()[0, tag].vr
        criterion = criterion_of_key(vr, tag, value_of(by_tag, tag), character_set)
        if not (isinstance(criterion, Equal) and len(criterion.texts) == 1
                and (vr != "UI" or all(map(is_valid_uid, criterion.texts)))):
            raise IdentifierRefused(statuses.DATASET_MISMATCH,
                                    "a unique key above the level needs exactly one value", tag)


def criterion_of_key(vr: str, tag: int, value: bytes, character_set: bytes, *,
                     fuzzy: bool = False) -> Criterion | None:
    """What a key matches. fuzzy: see criterion_of. Raises IdentifierRefused."""
    try:
        return criterion_of(vr, value, character_set, fuzzy=fuzzy)
    except BadKey as error:
        raise IdentifierRefused(statuses.CANNOT_UNDERSTAND, f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {error}",
                                tag) from None
    except TooManyValues as error:
        raise IdentifierRefused(statuses.REFUSED_OUT_OF_RESOURCES, str(error), tag) from None


def read_elements(acceptor: AssociationAcceptor, context: AcceptedContext, request: CommandSet,
                  served: Container[str]) -> list[IdentifierElement]:
    """The identifier of a request, received and decoded. served: SOP classes. Raises IdentifierRefused."""
    if not request.has_dataset:
        raise IdentifierRefused(statuses.CANNOT_UNDERSTAND, "the request has no identifier")
    identifier = acceptor.read_dataset()
    if identifier is None:
        raise IdentifierRefused(statuses.REFUSED_OUT_OF_RESOURCES, "the identifier is longer than allowed")
    if context.abstract_syntax not in served or request.affected_sop_class_uid != context.abstract_syntax:
        raise IdentifierRefused(statuses.SOP_CLASS_NOT_SUPPORTED,
                                "SOP Class UID is not that of a presentation context for it")
    how = encoding(context.transfer_syntax)
    try:
        return IdentifierDecoder(how.explicit, how.big_endian, frozenset(model.query_sequences())).decode(identifier)
    except DatasetError as error:
        raise IdentifierRefused(statuses.CANNOT_UNDERSTAND, str(error)) from None


def refused_response(request: CommandSet, refused: IdentifierRefused) -> CommandSet:
    """The response that says why."""
    response = response_to(request, refused.status, error_comment=str(refused)[:64])
    if refused.offending is not None:
        response.offending_element = [refused.offending]
    return response


@dataclass(slots=True)
class _Reader:
    """Sorts the keys: what must match, what is returned."""

    level: Level
    character_set: bytes
    fuzzy: bool
    conditions: dict[int, Condition] = field(default_factory=dict)      # by tag
    others: list[ItemCondition | Moment] = field(default_factory=list)
    computed: list[int] = field(default_factory=list)
    fields: list[ResponseField] = field(default_factory=list)
    all_supported: bool = True

    def read(self, element: IdentifierElement) -> None:
        kept = model.query_sequences().get(element.tag)
        attribute = kept[0] if kept else model.query_attributes().get((0, element.tag))
        if attribute is None or attribute.level > self.level or (element.items is not None and not kept):
            self.all_supported = False
        elif kept:
            self._read_sequence(element, {one.tag: one for one in kept})
        else:
            self._read_attribute(element, attribute)

    def _read_attribute(self, element: IdentifierElement, attribute: Attribute) -> None:
        tag = element.tag
        if tag in model.COMPUTED_TAGS:
            self.computed.append(tag)
        else:
            self.fields.append(ResponseField(tag, attribute.vr, Source.PACKED, packed_column(attribute.level)))
        # PS3.4 C.2.1: it says in which zone the keys' times are; it is none of them.
        if tag != model.TIMEZONE_OFFSET_FROM_UTC:
            criterion = self._criterion(attribute, element)
            if criterion is not None:
                self.conditions[tag] = Condition(attribute, criterion)

    def _read_sequence(self, element: IdentifierElement, kept: dict[int, Attribute]) -> None:
        items = element.items or []
        if len(items) > 1:
            raise IdentifierRefused(statuses.DATASET_MISMATCH, "a sequence key has more than one item", element.tag)
        conditions, asked = [], []
        for key in items[0] if items else ():
            attribute = kept.get(key.tag)
            if attribute is None:
                self.all_supported = self.all_supported and not key.tag & 0xFFFF
                continue
            asked.append((key.tag, attribute.vr))
            criterion = self._criterion(attribute, key)
            if criterion is not None:
                conditions.append(Condition(attribute, criterion))
        if conditions:
            self.others.append(ItemCondition(tuple(conditions)))
        level = next(iter(kept.values())).level
        self.fields.append(ResponseField(element.tag, "SQ", Source.SEQUENCE, packed_column(level), b"",
                                         tuple(sorted(asked))))

    def _criterion(self, attribute: Attribute, element: IdentifierElement) -> Criterion | None:
        return criterion_of_key(attribute.vr, element.tag, element.value, self.character_set, fuzzy=self.fuzzy)

    def combine(self) -> None:
        """Combined date-time matching, where a date and its time are both ranges."""
        for date, time in model.DATE_TIME_PAIRS.items():
            if date in self.conditions and time in self.conditions:
                both = self.conditions[date], self.conditions[time]
                if all(isinstance(one.criterion, Within) and one.criterion.low != one.criterion.high for one in both):
                    self.others.append(_moment(*both))
                    del self.conditions[date], self.conditions[time]


def _moment(date: Condition, time: Condition) -> Moment:
    days, hours = date.criterion, time.criterion
    low = high = None
    if days.low is not None:
        low = Span(*[days.low.low + (hours.low.low if hours.low else "000000.000000")] * 2)
    if days.high is not None:
        high = Span(*[days.high.high + (hours.high.high if hours.high else "235960.999999")] * 2)
    return Moment(date.attribute, time.attribute, Within(low, high, date_time_span))


def _computed_field(query: Query, tag: int) -> ResponseField:
    vr = model.query_attributes()[0, tag].vr
    return ResponseField(tag, vr, Source.PLAIN, computed_column(query, tag))


def _constant(tag: int, vr: str, value: str) -> ResponseField:
    return ResponseField(tag, vr, Source.CONSTANT, 0, value.encode("ascii"))
