"""Requests for storage commitment that wait for their report: what must outlive a restart and a power cut.

One small file for each request in commitments/, a folder that is made when the first one comes. Its first line is a
JSON object, so that a start need not read more; each further line is one reference: "<SOP class> <SOP instance>".
What the files say comes from the requesters alone: nothing here is needed to find or rebuild an instance.
Of several nodes each has those that it has accepted: their numbers are of its slots' kind (archive.layout).
"""
from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from dicomserver.archive.durable import Folder, open_or_make, read_file, replace_file, unlink_if_there
from dicomserver.archive.errors import ArchiveDamaged, CommitmentFailed, translated
from dicomserver.archive.nodes import ALONE, node_of

_SUFFIX = ".txt"
_UNFINISHED = ".new"
_LONGEST_HEADER = 4096
_NO_LIMIT = 1 << 62


class Reference(NamedTuple):
    """What is to be committed."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """The first line of a file. requester: its AE title; received_at: seconds since the epoch; count: of references."""

    requester: str
    transaction_uid: str
    received_at: float
    count: int


class Commitments:
    """The folder commitments/. Thread-safe; every method raises CommitmentFailed where the disk does."""

    def __init__(self, root: Folder, node: int = ALONE, first: int = 1) -> None:
        """first: the number of a node's next one. Its files may be another's by now, so they don't tell."""
        self._root = root
        self._node = node
        self._folder: Folder | None = None
        self._lock = threading.Lock()
        self._next = first

    def waiting(self) -> Iterator[tuple[str, CommitmentRequest | None]]:
        """What an earlier process has left, in the order of arrival: names and requests, None for what cannot be
        understood. To be called once, at the start, before `add`."""
        for name in self._names_of(None if self._node == ALONE else self._node):
            if self._node == ALONE == node_of(self._number(name)):
                self._next = self._number(name) + 1
            yield name, self._head(name)

    def adopt(self, node: int) -> list[tuple[str, CommitmentRequest | None]]:
        """Makes those of a node that does not run ours, durably; like `waiting`."""
        adopted: list[str] = []
        names = self._names_of(node)
        with self._lock, translated(CommitmentFailed, "adopting the requests for storage commitment"):
            for name in names:
                os.rename(name, ours := self._next_name(), src_dir_fd=self._folder.fd, dst_dir_fd=self._folder.fd)
                adopted.append(ours)
            if adopted:
                self._folder.sync()
        return [(name, self._head(name)) for name in adopted]

    def _names_of(self, node: int | None) -> list[str]:
        """In the order of arrival. None: of all. What a power cut left half written is removed."""
        with translated(CommitmentFailed, "reading the requests for storage commitment"):
            try:
                self._folder = self._folder or Folder("commitments", self._root)
            except FileNotFoundError:
                return []
            found = [name for name in os.listdir(self._folder.fd)
                     if node in (None, node_of(self._number(name.removesuffix(_UNFINISHED))))]
            for name in found:
                if name.endswith(_UNFINISHED):
                    unlink_if_there(name, self._folder)
            return sorted((name for name in found if self._number(name)), key=self._number)

    def _head(self, name: str) -> CommitmentRequest | None:
        with translated(CommitmentFailed, "reading a request for storage commitment"):
            return _request_of(read_file(self._folder, name, _LONGEST_HEADER).partition(b"\n")[0])

    def _next_name(self) -> str:
        self._next += 1
        return f"{self._next - 1:016d}{_SUFFIX}"

    def add(self, request: CommitmentRequest, references: Sequence[Reference]) -> str:
        """Makes the request durable; -> its name."""
        lines = [json.dumps(asdict(request)), *map(" ".join, references), ""]
        with self._lock, translated(CommitmentFailed, "writing a request for storage commitment"):
            folder = self._made_folder()
            name = self._next_name()
            try:
                replace_file(folder, name, "\n".join(lines).encode("ascii"))
            except OSError:
                # The requester is told that it failed: no start may find what is left of it.
                unlink_if_there(name, folder)
                unlink_if_there(name + _UNFINISHED, folder)
                raise
        return name

    def references(self, name: str) -> list[Reference]:
        """Of one request, in their order. Raises ArchiveDamaged where the file is not what was written."""
        with translated(CommitmentFailed, "reading a request for storage commitment"):
            head, *lines = read_file(self._folder, name, _NO_LIMIT).decode("ascii", "replace").split("\n")
        request = _request_of(head.encode())
        references = [Reference(*words) for words in map(str.split, lines) if len(words) == len(Reference._fields)]
        if request is None or len(references) != request.count:
            raise ArchiveDamaged(f"the request for storage commitment {name} cannot be understood")
        return references

    def drop(self, name: str) -> None:
        """Its report is delivered: durable, so that no start delivers it again."""
        with translated(CommitmentFailed, "removing a request for storage commitment"):
            if unlink_if_there(name, self._folder):
                self._folder.sync()

    def close(self) -> None:
        """Closes the folder; safe to call twice."""
        with self._lock:
            if self._folder is not None:
                self._folder.close()

    def _made_folder(self) -> Folder:
        if self._folder is None:
            folder, is_new = open_or_make("commitments", self._root)
            try:
                if is_new:
                    self._root.sync()
            except OSError:
                folder.close()
                raise
            self._folder = folder
        return self._folder

    @staticmethod
    def _number(name: str) -> int:
        """Of a file of ours; 0: it is none."""
        digits = name.removesuffix(_SUFFIX)
        return int(digits) if digits != name and digits.isascii() and digits.isdigit() else 0


def _request_of(head: bytes) -> CommitmentRequest | None:
    try:
        request = CommitmentRequest(**json.loads(head))
    except (ValueError, TypeError):
        return None
    kinds = (str, str, (int, float), int)
    is_sound = all(isinstance(value, kind) for value, kind in zip(asdict(request).values(), kinds, strict=True))
    return request if is_sound else None
