"""What can be asked of a running server about the retention rule."""
from __future__ import annotations

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import ArchiveError
from dicomserver.index import Index
from dicomserver.server.commands import telling, uids_of
from dicomserver.server.control import Command, CommandFailed, Progress
from dicomserver.server.retention import Retention


def table(archive: Archive, index: Index, retention: Retention) -> dict[str, Command]:
    """retention {} -> {"days": n, "freePercent": n, "minimumDays": n}, the rule; before that for each study that it
    would delete now, as progress, {"study": UID, "lastImage": seconds since the epoch, "instances": n, "bytes": n,
    "why": text}.

    keep {"study": UID} -> {"changed": bool}; also for one that is not stored (any more), as long as it is in the trash
    or in the list. unkeep likewise. kept {} -> {}; before that {"study": UID} for each.
    """

    def preview(args: dict, progress: Progress) -> dict:
        for candidate in retention.candidates():
            study = candidate.study
            progress({"study": study.study_instance_uid, "lastImage": study.last_received_at // 1_000_000,
                      "instances": study.instances, "bytes": study.octets, "why": candidate.why})
        rule = retention.settings
        return {"days": rule.days, "freePercent": rule.free_percent, "minimumDays": rule.minimum_days}

    def keep(args: dict, progress: Progress) -> dict:
        uid = _study(args)
        if next(index.select(study=uid), None) is None and not _in_trash(archive, uid):
            raise CommandFailed("this server has no such study")
        return {"changed": archive.kept.set(uid, True)}

    def unkeep(args: dict, progress: Progress) -> dict:
        return {"changed": archive.kept.set(_study(args), False)}

    def kept(args: dict, progress: Progress) -> dict:
        for uid in archive.kept.all():
            progress({"study": uid})
        return {}

    commands = {"retention": preview, "keep": keep, "unkeep": unkeep, "kept": kept}
    return {name: telling(ArchiveError)(command) for name, command in commands.items()}


def _study(args: dict) -> str:
    uids = uids_of(args)
    if uids.keys() != {"study"}:
        raise CommandFailed("which study?")
    return uids["study"]


def _in_trash(archive: Archive, study: str) -> bool:
    return any(file.study_instance_uid == study for record in archive.trash.records() for file in record.files)
