"""What is stored where: one interface, SQLite or PostgreSQL behind it."""
from dicomserver.index.entry import FLAG_INFLATION_CAPPED, FLAG_PIXEL_DATA_SHORT, Counts, Instance, Stored
from dicomserver.index.errors import (
    IndexAway,
    IndexDamaged,
    IndexFault,
    IndexFull,
    IndexTooNew,
    IndexUnavailable,
    OutcomeUnknown,
    SearchInterrupted,
    UnknownEngine,
)
from dicomserver.index.index import Index
from dicomserver.index.opening import copy_index, files_of, open_copy, open_index, rebuild_index, without_secrets
from dicomserver.index.other_patients import Person, Persons

__all__ = [
    "FLAG_INFLATION_CAPPED", "FLAG_PIXEL_DATA_SHORT", "Counts", "Index", "IndexAway", "IndexDamaged", "IndexFault",
    "IndexFull", "IndexTooNew", "IndexUnavailable", "Instance", "OutcomeUnknown",
    "Person", "Persons", "SearchInterrupted", "Stored",
    "UnknownEngine", "copy_index", "files_of", "open_copy", "open_index", "rebuild_index",
    "without_secrets",
]
