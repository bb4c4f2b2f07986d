"""Which service answers which message."""
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from dicomserver.archive.archive import Archive
from dicomserver.archive.filing import Waiting
from dicomserver.index.index import Index
from dicomserver.services.echo import echo
from dicomserver.services.find import FindService, QueryLimits
from dicomserver.services.identifiers import Options
from dicomserver.services.store import ScanLimits, StoreService
from dicomserver.session.acceptor import Handler
from dicomserver.session.policy import Support, plain_syntaxes, verification_support
from dicomserver.standard.query import FIND_LEVELS
from dicomserver.standard.uids import VERIFICATION
from dicomserver.wire.commands import C_ECHO_RQ, C_FIND_RQ, C_STORE_RQ


def build_handlers(archive: Archive, index: Index, on_stored: Callable[[Waiting], None], log: logging.Logger, *,
                   ae_title: str, scan: ScanLimits = ScanLimits(),
                   query: QueryLimits = QueryLimits()) -> Mapping[int, Handler]:
    """The handlers by Command Field; they serve any number of associations at once. ae_title: ours."""
    return {C_ECHO_RQ: echo, C_STORE_RQ: StoreService(archive, index, on_stored, log, scan).store,
            C_FIND_RQ: FindService(index, ae_title, log, query).find}


def sop_classes() -> Mapping[str, Support]:
    """What these handlers serve beside storage, for the acceptor's policy."""
    query = Support(plain_syntaxes(), application_information=Options.answer)
    return {VERIFICATION: verification_support()} | dict.fromkeys(FIND_LEVELS, query)
