"""What can go wrong with the index. Drivers' errors never leave the room; no text here holds patient data."""


class IndexFault(Exception):
    """Any failure of the index; the transaction that it interrupted left nothing behind."""


class IndexUnavailable(IndexFault):
    """It can't be opened, read or written now. After a failed sync this lasts until it is opened again."""


class IndexAway(IndexUnavailable):
    """The database's server cannot be reached now."""


class OutcomeUnknown(IndexAway):
    """The connection to the database broke while something was committed. An instance that was being added is in, or
    comes in as soon as the database is back: its file must be kept."""


class NodeFenced(OutcomeUnknown):
    """Another node has taken over what this one had, for it seemed dead: it must end. What it was adding may be in, by
    the other's hand."""


class Collision(IndexFault):
    """Another node has changed the same rows in this moment; the same once more may work."""


class IndexFull(IndexFault):
    """No room on the disk. Reading still works, and writing does again once there is room."""


class IndexDamaged(IndexFault):
    """What is in the file is no index of ours, or no more; `index rebuild` makes one from the archive."""


class IndexTooNew(IndexFault):
    """A later version of this program made or migrated the index."""


class RowIsThere(IndexUnavailable):
    """Another row is about the same."""


class IndexUnfinished(IndexUnavailable):
    """Another index is being copied to this one, and a part of it is missing."""

    def __init__(self) -> None:
        super().__init__("`dicom-server index migrate` has not filled this index to its end: run it again, or go on "
                         "with the database that you had before")


class UnknownEngine(IndexFault, ValueError):
    """No engine of that name, or a URL that doesn't say where the index is."""


class SearchInterrupted(IndexFault):
    """Whoever searches did not want to go on."""
