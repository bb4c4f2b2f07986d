"""What a backup asks of the running server. The backup itself is another process: a target that hangs, a share that
does not answer, must not be able to hold the server up."""
from __future__ import annotations

from itertools import islice

from dicomserver.archive.archive import Archive
from dicomserver.index import Index, without_secrets
from dicomserver.server.commands import telling
from dicomserver.server.control import Command, Progress
from dicomserver.server.settings import ServerSettings

ROWS_AT_ONCE = 1000


def table(archive: Archive, index: Index, settings: ServerSettings) -> dict[str, Command]:
    """backup {} -> {"dataDirectory": path, "databaseUrl": URL without secrets, "identity": text}.

    rows {} -> {}; progress: {"rows": [[slot, checksum, file length, study, series, SOP instance], …]}, the whole index.
    stored {"instance": SOP Instance UID, "slot": number} -> {"stored": bool}: whether it is so, and not being deleted.
    """

    def backup(args: dict, progress: Progress) -> dict:
        return {"dataDirectory": archive.path, "databaseUrl": without_secrets(settings.index_url()),
                "identity": archive.identity()}

    @telling()
    def rows(args: dict, progress: Progress) -> dict:
        everything = index.select()
        while page := list(islice(everything, ROWS_AT_ONCE)):
            progress({"rows": [(row.slot, row.checksum, row.file_length, row.study_instance_uid,
                                row.series_instance_uid, row.sop_instance_uid) for row in page]})
        return {}

    @telling()
    def stored(args: dict, progress: Progress) -> dict:
        return {"stored": is_stored(archive, index, args["instance"], args["slot"])}

    return {"backup": backup, "rows": rows, "stored": stored}


def is_stored(archive: Archive, index: Index, sop_instance_uid: str, slot: int) -> bool:
    """Whether the index has that instance, from that slot, and nobody is deleting it. Raises IndexFault."""
    now = index.find(sop_instance_uid)
    return now is not None and now.slot == slot and not archive.is_being_deleted(slot)
