"""What can be asked of a running server over its control socket, `stop` apart."""
from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dicomserver.archive.archive import Archive
from dicomserver.archive.layout import SUFFIX
from dicomserver.index import Index, IndexFault
from dicomserver.server.control import Command, CommandFailed, Progress
from dicomserver.server.lobby import Lobby
from dicomserver.server.mover import Mover
from dicomserver.server.pool import AssociationPool
from dicomserver.server.settings import ServerSettings
from dicomserver.server.statistics import Statistics
from dicomserver.server.verification import Verified, Verifier
from dicomserver.standard.uids import is_valid_uid

_LEVELS = ("study", "series", "instance")


class ReloadFailed(Exception):
    """The new settings will not do; the text is one clear line."""


def table(statistics: Statistics, verifier: Verifier, reload: Callable[[], bool],
          *others: dict[str, Command]) -> dict[str, Command]:
    """stats {} -> the figures. reload {} -> {"restartNeeded": bool}. others: tables of more commands.

    verify {"study": UID, "series": UID, "instance": UID} (any or none) -> {"verified": n, "bytes": n, "damaged": n,
    "total": n}, progress likewise; and
    {"damagedInstance": UID, "why": text} for each.
    damaged {} -> {"damaged": [[UID, text], ...]}: what is known, without reading; the first thousand.
    """

    def stats(args: dict, progress: Progress) -> dict:
        return statistics.snapshot()

    def verify(args: dict, progress: Progress) -> dict:
        return _verify(verifier, args, progress)

    def damaged(args: dict, progress: Progress) -> dict:
        with telling():
            return {"damaged": verifier.known()}

    def reload_settings(args: dict, progress: Progress) -> dict:
        try:
            return {"restartNeeded": reload()}
        except ReloadFailed as error:
            raise CommandFailed(str(error)) from error

    commands = {"stats": stats, "verify": verify, "damaged": damaged, "reload": reload_settings}
    for more in others:
        commands |= more
    return commands


def _verify(verifier: Verifier, args: dict, progress: Progress) -> dict:
    def figures(so_far: Verified) -> dict:
        return {"verified": so_far.instances, "bytes": so_far.octets, "damaged": so_far.damaged, "total": so_far.total}
    with telling():
        return figures(verifier.verify(
            lambda so_far: progress(figures(so_far)),
            lambda uid, why: progress({"damagedInstance": uid, "why": why}), **uids_of(args)))


@contextmanager
def telling(*errors: type[Exception]) -> Iterator[None]:
    """IndexFault and these errors in the words of a command: raises CommandFailed. Decorates a command, too."""
    try:
        yield
    except IndexFault as error:
        raise CommandFailed(f"the index does not answer: {error}") from error
    except errors as error:
        raise CommandFailed(str(error)) from error


def uids_of(args: dict) -> dict[str, str]:
    """The levels that are named, and their UIDs. Raises CommandFailed."""
    uids = {level: args[level] for level in _LEVELS if args.get(level) is not None}
    if set(args) - set(_LEVELS):
        raise CommandFailed("which study, series or instance?")
    if not all(isinstance(uid, str) and is_valid_uid(uid) for uid in uids.values()):
        raise CommandFailed("not a UID")
    return uids


def watch(statistics: Statistics, archive: Archive, index: Index, mover: Mover, lobby: Lobby,
          pool: AssociationPool) -> None:
    """Adds to the counted figures those that others know."""

    def now() -> dict[str, object]:
        slots, octets = archive.waiting
        return {
            "associationsActive": pool.active,
            "connectionsActive": pool.active + lobby.waiting,
            "waitingInstances": slots,
            "waitingBytes": octets,
            "moverFails": mover.failing,
            "diskFreeBytes": archive.free_space(),
            "quarantined": _quarantined(archive),
        } | _counts(index)

    statistics.add_source(now)


def _quarantined(archive: Archive) -> int:
    with os.scandir(os.path.join(archive.path, "quarantine")) as entries:
        return sum(entry.name.endswith(SUFFIX) for entry in entries)


def _counts(index: Index) -> dict[str, object]:
    try:
        return dict(index.counts()._asdict())
    except IndexFault:
        # The other figures may say why.
        return dict.fromkeys(("patients", "studies", "series", "instances"))


def keep_fixed(running: ServerSettings, new: ServerSettings) -> ServerSettings:
    """`new`, but for what only a restart changes."""
    return dataclasses.replace(new, port=running.port, bind_address=running.bind_address,
                               data_directory=running.data_directory, database_url=running.database_url,
                               node=running.node,
                               control_directory=running.control_directory, storage=running.storage,
                               mover=running.mover, scrub=running.scrub)
