"""Instances that arrive as C-STORE requests on an association of ours (C-GET), into files of a folder."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass

from dicomserver.archive.writer import DatasetWriter, IdentityMismatch
from dicomserver.scu.requester import Requester
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.standard import statuses
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.standard.uids import is_valid_uid
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import response_to
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.part10 import encode_file_meta
from dicomserver.wire.scanner import DatasetScanner
from dicomserver.wire.wanted import Wanted

_SUFFIX = ".dcm"
_UNFINISHED = ".part"
_NOTHING = Wanted(())


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one instance that was sent to us. path: "" where it is not kept; failure: then why, in words."""

    sop_instance_uid: str
    status: int
    path: str = ""
    octets: int = 0
    failure: str = ""


class _Refused(Exception):
    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status = status


class Reception:
    """Writes to `folder`/<SOP Instance UID>.dcm, in a tree to <Study>/<Series>/<SOP Instance UID>.dcm below it.

    A file appears under its name when it is complete, in place of one that has this name already. Nothing of a name
    but UIDs that were checked comes from the peer. titles: calling and called AE title, for the files' headers.
    One thread, which is that of the association.
    """

    def __init__(self, folder: str, *, is_tree: bool, titles: tuple[str, str]):
        self._folder = folder
        self._is_tree = is_tree
        self._own_title, self._peer_title = titles
        self._writer = DatasetWriter()
        self._scanners: dict[str, DatasetScanner] = {}

    def take(self, association: Requester, context: AcceptedContext, request: CommandSet) -> Received:
        """Receives the instance of a C-STORE-RQ that has just come, and answers it. Raises AssociationFailed."""
        uid = request.affected_sop_instance_uid or ""
        try:
            path, octets = self._receive(association, context, request)
            received = Received(uid, statuses.SUCCESS, path, octets)
        except _Refused as refused:
            received = Received(uid if is_valid_uid(uid) else "", refused.status, failure=str(refused))
        with association.dataset() as arriving:
            arriving.drain()
        comment = received.failure[:64] or None
        association.send(context.context_id, response_to(request, received.status, error_comment=comment))
        return received

    def _receive(self, association: Requester, context: AcceptedContext, request: CommandSet) -> tuple[str, int]:
        uid = request.affected_sop_instance_uid or ""
        if not request.has_dataset:
            raise _Refused(statuses.CANNOT_UNDERSTAND, "it came without a dataset")
        if not context.as_scp or request.affected_sop_class_uid != context.abstract_syntax:
            raise _Refused(statuses.SOP_CLASS_NOT_SUPPORTED, "it is not of the presentation context's SOP class")
        if not is_valid_uid(uid):
            raise _Refused(statuses.INVALID_OBJECT_INSTANCE, "its SOP Instance UID is none")
        try:
            file, unfinished = tempfile.mkstemp(_UNFINISHED, ".", self._folder)
            try:
                scanner = self._write(file, association, context, uid)
                octets = os.fstat(file).st_size
                path = self._path(scanner, uid)
                os.chmod(file, 0o666 & ~_umask())
                os.replace(unfinished, path)
            except BaseException:
                os.unlink(unfinished)
                raise
            finally:
                os.close(file)
        except OSError as error:
            raise _Refused(statuses.REFUSED_OUT_OF_RESOURCES, f"writing failed: {error.strerror}") from None
        return path, octets

    def _write(self, file: int, association: Requester, context: AcceptedContext, uid: str) -> DatasetScanner:
        scanner = self._scanner(context.transfer_syntax)
        meta = encode_file_meta(context.abstract_syntax, uid, context.transfer_syntax, source_ae=self._peer_title,
                                sending_ae=self._peer_title, receiving_ae=self._own_title)
        try:
            with association.dataset() as arriving:
                self._writer.receive(arriving, scanner, file, meta, context.abstract_syntax.encode("ascii"),
                                     uid.encode("ascii"))
        except IdentityMismatch as error:
            raise _Refused(statuses.DATASET_MISMATCH, str(error)) from None
        except DatasetError as error:
            raise _Refused(statuses.CANNOT_UNDERSTAND, f"malformed: {error}") from None
        self._writer.complete()
        return scanner

    def _scanner(self, transfer_syntax: str) -> DatasetScanner:
        if transfer_syntax not in self._scanners:
            how = encoding(transfer_syntax)
            self._scanners[transfer_syntax] = DatasetScanner(_NOTHING, how.explicit, how.big_endian, how.deflated)
        return self._scanners[transfer_syntax]

    def _path(self, scanner: DatasetScanner, uid: str) -> str:
        """The writer has found the dataset's UIDs to be good."""
        if not self._is_tree:
            return os.path.join(self._folder, uid + _SUFFIX)
        _, _, study, series = scanner.values.uids
        folder = os.path.join(self._folder, study, series)
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, uid + _SUFFIX)


def _umask() -> int:
    """What the user has set; reading it means setting it, and other threads may make files meanwhile: so from /proc."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next((int(line.split()[1], 8) for line in status if line.startswith("Umask:")), 0o077)
