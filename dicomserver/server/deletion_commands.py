"""What can be asked of a running server about deleting and the trash."""
from __future__ import annotations

from typing import TypeVar

from dicomserver.archive.errors import ArchiveError
from dicomserver.server.commands import telling, uids_of
from dicomserver.server.control import Command, CommandFailed, Progress
from dicomserver.server.deletion import Asked, Deleter, DeletionStopped, PatientUnclear
from dicomserver.server.trash import TrashKeeper, Undeleted, UndeletionStopped, choice

_Kind = TypeVar("_Kind", bool, str)


def table(deleter: Deleter, trash: TrashKeeper) -> dict[str, Command]:
    """delete {"study": UID, "series": UID, "instance": UID (any of them), "now": bool} -> {"deleted": n}, progress
    likewise; now: not to the trash, and out of it. Instead of UIDs {"patient": ID, "issuer": text or none}.

    count {the same but now} -> {"studies": n, "instances": n, "bytes": n, "trashSeconds": n}: what delete would delete,
    and for how long it could be brought back.
    undelete {UIDs, or "deletion": text} -> {"restored": n, "stays": n, "total": n}, progress likewise; and
    {"staysInTrash": UID, "why": text} for each that does not come back.
    trash {} -> {"deletions": n}, before that for each as progress {"deletion": text, "asked": text, "deletedAt": n,
    "until": n, "studies": n, "instances": n, "bytes": n}; times in seconds since the epoch.
    """

    def delete(args: dict, progress: Progress) -> dict:
        now = _taken(args, "now", bool) or False
        return {"deleted": deleter.delete(_asked(args), now=now, progress=lambda n: progress({"deleted": n}))}

    def count(args: dict, progress: Progress) -> dict:
        counted = deleter.count(_asked(args))
        return {"studies": counted.studies, "instances": counted.instances, "bytes": counted.octets,
                "trashSeconds": trash.seconds}

    def undelete(args: dict, progress: Progress) -> dict:
        deletion = _taken(args, "deletion", str)
        chosen = choice(deletion, **(uids_of(args) if deletion else _some_uids(args)))
        return _figures(trash.undelete(chosen, lambda so_far: progress(_figures(so_far)),
                                       lambda uid, why: progress({"staysInTrash": uid, "why": why})))

    def listing(args: dict, progress: Progress) -> dict:
        number = 0
        for one in trash.deletions():
            progress({"deletion": one.deletion, "asked": one.asked, "deletedAt": one.deleted_at, "until": one.until,
                      "studies": one.studies, "instances": one.instances, "bytes": one.octets})
            number += 1
        return {"deletions": number}

    commands = {"delete": delete, "count": count, "undelete": undelete, "trash": listing}
    return {name: _telling(command) for name, command in commands.items()}


def _telling(command: Command) -> Command:
    """The same, with the errors in the words of a command."""

    def told(args: dict, progress: Progress) -> dict:
        with telling(DeletionStopped, PatientUnclear, UndeletionStopped, ArchiveError):
            return command(dict(args), progress)
    return told


def _taken(args: dict, name: str, kind: type[_Kind]) -> _Kind | None:
    """Takes an argument that is no UID out of the others."""
    value = args.pop(name, None)
    if value is not None and not isinstance(value, kind):
        raise CommandFailed(f"{name} is not what it should be")
    return value


def _asked(args: dict) -> Asked:
    patient, issuer = _taken(args, "patient", str), _taken(args, "issuer", str)
    if patient is None:
        return Asked(**_some_uids(args))
    if args or not patient:
        raise CommandFailed("a patient, or a study, series or instance?")
    return Asked(patient=patient, issuer=issuer)


def _some_uids(args: dict) -> dict[str, str]:
    uids = uids_of(args)
    if not uids:
        raise CommandFailed("which study, series or instance?")
    return uids


def _figures(so_far: Undeleted) -> dict:
    return {"restored": so_far.restored, "stays": so_far.stays, "total": so_far.total}
