"""Whether what was sent is there: queries for the SOP Instance UIDs afterwards (PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dicomserver.scu.identifier import Key
from dicomserver.scu.part10_files import NotSendable, Part10File, read_identity
from dicomserver.scu.peer import Peer
from dicomserver.scu.query import QueryRequester, associate, model_of
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import UNIQUE_KEYS

MOST_UIDS = 100                 # asked for at once: some servers take no longer lists

_MODEL = model_of(Level.INSTANCE)
_STUDY, _SERIES, _INSTANCE = (UNIQUE_KEYS[level] for level in (Level.STUDY, Level.SERIES, Level.INSTANCE))


def missing(peer: Peer, files: Iterable[Part10File]) -> list[Part10File]:
    """Those that the peer does not find, or that do not say to which series they belong. Raises AssociationFailed,
    RequestFailed."""
    by_series, lost = _by_series(files)
    if not by_series:
        return lost
    with associate(peer, _MODEL) as association:
        requester = QueryRequester(association, _MODEL)
        for (study, series), several in by_series.items():
            for some in _pieces(several):
                there = _found(requester, study, series, [file.instance.sop_instance_uid for file in some])
                lost += [file for file in some if file.instance.sop_instance_uid not in there]
    return lost


def _by_series(files: Iterable[Part10File]) -> tuple[dict[tuple[str, str], list[Part10File]], list[Part10File]]:
    found: dict[tuple[str, str], list[Part10File]] = {}
    without = []
    for file in files:
        try:
            _, _, study, series = read_identity(file)
        except NotSendable:
            study = series = ""
        if study and series:
            found.setdefault((study, series), []).append(file)
        else:
            without.append(file)
    return found, without


def _pieces(files: list[Part10File]) -> Iterator[list[Part10File]]:
    return (files[at:at + MOST_UIDS] for at in range(0, len(files), MOST_UIDS))


def _found(requester: QueryRequester, study: str, series: str, instances: list[str]) -> set[str]:
    keys = [Key(_STUDY, "UI", study), Key(_SERIES, "UI", series), Key(_INSTANCE, "UI", "\\".join(instances))]
    matches = requester.find(Level.INSTANCE, keys)
    return {str(match[_INSTANCE]) for match in matches if _INSTANCE in match}
