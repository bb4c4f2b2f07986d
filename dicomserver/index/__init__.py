"""What is stored where: one interface, SQLite behind it."""
from dicomserver.index.entry import FLAG_INFLATION_CAPPED, FLAG_PIXEL_DATA_SHORT, Counts, Instance, Stored
from dicomserver.index.errors import (
    IndexDamaged,
    IndexFault,
    IndexFull,
    IndexTooNew,
    IndexUnavailable,
    SearchInterrupted,
    UnknownEngine,
)
from dicomserver.index.index import Index
from dicomserver.index.opening import copy_index, files_of, open_copy, open_index, rebuild_index
from dicomserver.index.other_patients import Person, Persons

__all__ = [
    "FLAG_INFLATION_CAPPED", "FLAG_PIXEL_DATA_SHORT", "Counts", "Index", "IndexDamaged", "IndexFault",
    "IndexFull", "IndexTooNew", "IndexUnavailable", "Instance", "Person", "Persons", "SearchInterrupted", "Stored",
    "UnknownEngine", "copy_index", "files_of", "open_copy", "open_index", "rebuild_index",
]
