"""What tests need to delete something from a `Store` (conftest)."""
from __future__ import annotations

from dicomserver.server.deletion import Deleter
from dicomserver.server.trash import TrashKeeper


def at_once(store, mover, seconds: float = 0) -> Deleter:
    """Without a trash, if nothing else is said."""
    trash = TrashKeeper(store.archive, store.index, store.mover, store.describe, seconds, store.log)
    return Deleter(store.archive, store.index, mover, trash, store.log)
