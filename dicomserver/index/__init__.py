"""What is stored where: one interface, SQLite or PostgreSQL behind it."""
from dicomserver.index.entry import (FLAG_INFLATION_CAPPED, FLAG_PIXEL_DATA_MISSING, FLAG_PIXEL_DATA_SHORT, Counts,
                                     Instance, Stored)
from dicomserver.index.errors import (
    IndexAway,
    IndexDamaged,
    IndexFault,
    IndexFull,
    IndexTooNew,
    IndexUnavailable,
    IndexUnfinished,
    NodeFenced,
    OutcomeUnknown,
    SearchInterrupted,
    UnknownEngine,
)
from dicomserver.index.index import Index
from dicomserver.index.opening import (
    copy_index,
    files_of,
    open_copy,
    open_index,
    open_source,
    open_target,
    rebuild_index,
    without_password,
    without_secrets,
)
from dicomserver.index.other_patients import Person, Persons
from dicomserver.index.transfer import Passed, Source, Target, begin_copy, run_pass

__all__ = [
    "FLAG_INFLATION_CAPPED", "FLAG_PIXEL_DATA_MISSING", "FLAG_PIXEL_DATA_SHORT", "Counts", "Index", "IndexAway",
    "IndexDamaged", "IndexFault", "IndexFull", "IndexTooNew", "IndexUnavailable", "IndexUnfinished", "Instance",
    "NodeFenced", "OutcomeUnknown", "Passed", "Person", "Persons", "SearchInterrupted", "Source", "Stored", "Target",
    "UnknownEngine", "begin_copy", "copy_index", "files_of", "open_copy", "open_index", "open_source", "open_target",
    "rebuild_index", "run_pass", "without_password", "without_secrets",
]
