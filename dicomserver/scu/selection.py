"""What a retrieval is to bring: a study, a series of it, or an instance (PS3.4 C.4.2.1.4), and what is in there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dicomserver.scu.failures import AssociationFailed
from dicomserver.scu.identifier import Key
from dicomserver.scu.peer import Peer
from dicomserver.scu.query import Match, QueryRequester, RequestFailed, associate, model_of
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import SOP_CLASSES_IN_STUDY, UNIQUE_KEYS
from dicomserver.standard.uids import is_valid_uid

_STUDY, _SERIES, _INSTANCE = (UNIQUE_KEYS[level] for level in (Level.STUDY, Level.SERIES, Level.INSTANCE))
_SOP_CLASS = 0x00080016
_MODEL = model_of(Level.STUDY)


@dataclass(frozen=True, slots=True)
class Selection:
    """series: "" for the whole study; instance: "" for the whole series."""

    study: str
    series: str = ""
    instance: str = ""

    @property
    def level(self) -> Level:
        """That of the lowest UID."""
        if self.instance:
            return Level.INSTANCE
        return Level.SERIES if self.series else Level.STUDY

    @property
    def keys(self) -> list[Key]:
        """The unique keys down to its level."""
        uids = ((_STUDY, self.study), (_SERIES, self.series), (_INSTANCE, self.instance))
        return [Key(tag, "UI", uid) for tag, uid in uids if uid]


class Catalogue:
    """Looks into studies by queries (C-FIND). All raise AssociationFailed, RequestFailed."""

    def __init__(self, peer: Peer):
        self._peer = peer

    def series_of(self, selection: Selection) -> list[Selection]:
        """A study's series, each to be retrieved on its own; what is smaller than a study is itself."""
        if selection.series:
            return [selection]
        with associate(self._peer, _MODEL) as association:
            uids = self._series(QueryRequester(association, _MODEL), selection)
        return [Selection(selection.study, uid) for uid in uids]

    def sop_classes(self, studies: Iterable[str]) -> dict[str, set[str]]:
        """The SOP classes of all instances of each study."""
        found: dict[str, set[str]] = {}
        with associate(self._peer, _MODEL) as association:
            requester = QueryRequester(association, _MODEL)
            for study in dict.fromkeys(studies):
                uids = self._of_study(requester, study) or self._of_instances(requester, Selection(study))
                found[study] = set(filter(is_valid_uid, uids))
        return found

    def _of_study(self, requester: QueryRequester, study: str) -> set[str]:
        """Not every server keeps this attribute: none then."""
        matches = requester.find(Level.STUDY, [Key(_STUDY, "UI", study), Key(SOP_CLASSES_IN_STUDY, "UI")])
        return {uid for match in matches for uid in _texts(match, SOP_CLASSES_IN_STUDY)}

    def _of_instances(self, requester: QueryRequester, study: Selection) -> set[str]:
        found: set[str] = set()
        for series in self._series(requester, study):
            keys = [*Selection(study.study, series).keys, Key(_INSTANCE, "UI"), Key(_SOP_CLASS, "UI")]
            found |= {uid for match in requester.find(Level.INSTANCE, keys) for uid in _texts(match, _SOP_CLASS)}
        return found

    def _series(self, requester: QueryRequester, study: Selection) -> list[str]:
        matches = requester.find(Level.SERIES, [*study.keys, Key(_SERIES, "UI")])
        return [uid for match in matches for uid in _texts(match, _SERIES) if is_valid_uid(uid)]


def sop_classes_if_told(peer: Peer, studies: Iterable[str]) -> dict[str, set[str]]:
    """As Catalogue.sop_classes, but none where the peer does not answer such queries."""
    try:
        return Catalogue(peer).sop_classes(studies)
    except (AssociationFailed, RequestFailed):
        return {}


def _texts(match: Match, tag: int) -> list[str]:
    return [value for value in match[tag].values if isinstance(value, str)] if tag in match else []
