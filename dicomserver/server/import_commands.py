"""What an import asks of the running server. It reads in a process of its own: a disc that hangs, a share that does not
answer, must not be able to hold the server up. What it has laid into imports/ the server judges and stores."""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import IntakeError
from dicomserver.archive.filing import Waiting
from dicomserver.index import Index
from dicomserver.server.commands import telling
from dicomserver.server.control import Command, CommandFailed, Progress
from dicomserver.server.settings import ServerSettings
from dicomserver.services.adoption import Adoption, Limits
from dicomserver.services.describe import ScanLimits

MOST_AT_ONCE = 256


def table(archive: Archive, index: Index, on_stored: Callable[[Waiting], None],
          settings: Callable[[], ServerSettings], log: logging.Logger) -> dict[str, Command]:
    """import {} -> {"dataDirectory": path, "reserve": bytes that stay free}.

    lend {"count": n} -> {"slots": [place in the data directory, …]}, for whole files to be written into; "take-back" {}
    ends that for all that is lent.
    known {"instances": [SOP Instance UID, …]} -> {"known": see known_instances}.
    adopt {"names": [a file of imports/, or a slot that was lent, …]} -> {"verdicts": {name: [verdict, why]}}, the
    verdicts those of dicomserver.services.adoption.
    """
    adoption = Adoption(archive, index, on_stored, log)

    def begin(args: dict, progress: Progress) -> dict:
        log.info("an import begins")
        return {"dataDirectory": archive.path, "reserve": settings().storage.reserve}

    @telling()
    def known(args: dict, progress: Progress) -> dict:
        return {"known": known_instances(archive, index, _listed(args, "instances"))}

    @telling(IntakeError)
    def lend(args: dict, progress: Progress) -> dict:
        count = args.get("count")
        if not isinstance(count, int) or not 0 < count <= MOST_AT_ONCE:
            raise CommandFailed("count is not what it should be")
        return {"slots": adoption.lend(count)}

    def take_back(args: dict, progress: Progress) -> dict:
        adoption.take_back()
        return {}

    @telling()
    def adopt(args: dict, progress: Progress) -> dict:
        return {"verdicts": adoption.adopt(_listed(args, "names"), limits_of(settings()))}

    return {"import": begin, "known": known, "lend": lend, "take-back": take_back, "adopt": adopt}


def known_instances(archive: Archive, index: Index, uids: Iterable[str]) -> dict[str, tuple[str, int, int]]:
    """What is stored under these SOP Instance UIDs, and nobody is deleting: transfer syntax, and length and checksum of
    the dataset. Raises IndexFault."""
    found = {uid: index.find(uid) for uid in uids}
    return {uid: (stored.transfer_syntax_uid, stored.file_length - stored.dataset_offset, stored.checksum)
            for uid, stored in found.items() if stored is not None and not archive.is_being_deleted(stored.slot)}


def limits_of(settings: ServerSettings) -> Limits:
    """What an import may bring: the same as an association."""
    association = settings.association
    return Limits(ScanLimits(sequence_depth=association.max_sequence_depth, inflated=association.max_inflated),
                  association.accept_private_sop_classes)


def _listed(args: dict, name: str) -> list[str]:
    listed = args.get(name)
    if not isinstance(listed, list) or len(listed) > MOST_AT_ONCE or not all(isinstance(one, str) for one in listed):
        raise CommandFailed(f"{name} is not what it should be")
    return listed
