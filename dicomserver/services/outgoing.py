"""What of a stored instance is sent: its dataset as it is stored, or converted for a receiver that takes no other."""
from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dicomserver.archive.archive import Archive
from dicomserver.archive.checksum import checksum_file
from dicomserver.archive.errors import InstanceDamaged
from dicomserver.index import Stored
from dicomserver.standard.transfer_syntaxes import name_of
from dicomserver.transcoding.choice import choose
from dicomserver.transcoding.conversion import convert
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.scratch import Scratch


class NotSent(Exception):
    """One instance could not be sent; the others may. The text says why, without patient data."""


@dataclass(frozen=True, slots=True)
class OutgoingDataset:
    """Bytes of an open file. checksum: their XXH3-64."""

    transfer_syntax_uid: str
    file: int
    offset: int
    length: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A stored instance, open; its bytes are verified as they are sent. `file` is the runner's, who closes it."""

    stored: Stored
    file: int
    archive: Archive

    @contextmanager
    def dataset(self, accepted: Container[str]) -> Iterator[OutgoingDataset]:
        """In one of the transfer syntaxes that the receiver accepts of its SOP class; good until the block ends.

        Raises NotSent where it cannot be had in any of them without loss; InstanceDamaged, OSError.
        """
        stored = self.stored
        plain = OutgoingDataset(stored.transfer_syntax_uid, self.file, stored.dataset_offset,
                                stored.file_length - stored.dataset_offset, stored.checksum)
        syntax = choose(plain.transfer_syntax_uid, accepted)
        if syntax is None:
            raise NotSent("its SOP class is accepted only in transfer syntaxes to which "
                          f"{name_of(stored.transfer_syntax_uid)} cannot be converted without loss")
        if syntax == plain.transfer_syntax_uid:
            yield plain
            return
        with self._converted(plain, syntax) as scratch:
            yield OutgoingDataset(syntax, scratch.file, 0, scratch.length,
                                  checksum_file(scratch.file, 0, scratch.length))

    def _converted(self, plain: OutgoingDataset, syntax: str) -> Scratch:
        # Before: a conversion would give damaged bytes a checksum that is right.
        if checksum_file(plain.file, plain.offset, plain.length) != plain.checksum:
            raise InstanceDamaged("its bytes have changed since they were stored")
        try:
            return convert(plain.file, plain.offset, plain.length, plain.transfer_syntax_uid, syntax,
                           lambda: Scratch(*self.archive.open_scratch()))
        except ConversionFailed as error:
            raise NotSent(f"it cannot be converted from {name_of(plain.transfer_syntax_uid)} to {name_of(syntax)}: "
                          f"{error}") from None
