"""Which service answers which message."""
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from dicomserver.archive.archive import Archive
from dicomserver.archive.filing import Waiting
from dicomserver.index.index import Index
from dicomserver.services.echo import echo
from dicomserver.services.store import ScanLimits, StoreService
from dicomserver.session.acceptor import Handler
from dicomserver.wire.commands import C_ECHO_RQ, C_STORE_RQ


def build_handlers(archive: Archive, index: Index, on_stored: Callable[[Waiting], None], log: logging.Logger,
                   limits: ScanLimits = ScanLimits()) -> Mapping[int, Handler]:
    """The handlers by Command Field; they serve any number of associations at once."""
    return {C_ECHO_RQ: echo, C_STORE_RQ: StoreService(archive, index, on_stored, log, limits).store}
