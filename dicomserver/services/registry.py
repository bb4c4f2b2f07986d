"""Which service answers which message."""
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NoReturn

from dicomserver.archive.archive import Archive
from dicomserver.archive.filing import Waiting
from dicomserver.index.index import Index
from dicomserver.services.commitment import Accept, CommitmentRefused, CommitmentService
from dicomserver.services.echo import echo
from dicomserver.services.find import FindService, QueryLimits
from dicomserver.services.get import GetService
from dicomserver.services.identifiers import Options
from dicomserver.services.move import Connect, Destination, MoveService
from dicomserver.services.store import ScanLimits, StoreService
from dicomserver.services.suboperations import Ended
from dicomserver.session.acceptor import Handler
from dicomserver.session.policy import Support, plain_syntaxes, verification_support
from dicomserver.standard import statuses
from dicomserver.standard.query import FIND_LEVELS, GET_LEVELS, MOVE_LEVELS
from dicomserver.standard.uids import STORAGE_COMMITMENT_PUSH_MODEL, VERIFICATION
from dicomserver.wire.commands import C_ECHO_RQ, C_FIND_RQ, C_GET_RQ, C_MOVE_RQ, C_STORE_RQ, N_ACTION_RQ

Moving = tuple[Mapping[str, Destination], Connect]


def build_handlers(archive: Archive, index: Index, on_stored: Callable[[Waiting], None], log: logging.Logger, *,
                   ae_title: str, scan: ScanLimits = ScanLimits(), query: QueryLimits = QueryLimits(),
                   moving: Moving | None = None, without_roles: frozenset[str] = frozenset(),
                   fuzzy_for: frozenset[str] = frozenset(), accept: Accept | None = None) -> Mapping[int, Handler]:
    """The handlers by Command Field; they serve any number of associations at once. ae_title: ours. moving: None: no
    destination is known. without_roles: see GetService. fuzzy_for: see FindService. accept: of storage commitments;
    None: each is refused."""
    destinations, connect = moving or ({}, _nowhere)
    return {C_ECHO_RQ: echo, C_STORE_RQ: StoreService(archive, index, on_stored, log, scan).store,
            C_FIND_RQ: FindService(index, ae_title, log, query, fuzzy_for).find,
            C_GET_RQ: GetService(index, archive, log, seconds=query.seconds, without_roles=without_roles).get,
            C_MOVE_RQ: MoveService(index, archive, destinations, connect, log, seconds=query.seconds).move,
            N_ACTION_RQ: CommitmentService(accept or _nobody, log).act}


def _nowhere(*_arguments: object) -> NoReturn:
    raise Ended("no destination is known")


def _nobody(*_arguments: object) -> NoReturn:
    raise CommitmentRefused(statuses.RESOURCE_LIMITATION, "nobody commits to storage here")


def sop_classes() -> Mapping[str, Support]:
    """What these handlers serve beside storage, for the acceptor's policy."""
    query = Support(plain_syntaxes(), application_information=Options.answer)
    retrieval = Support(plain_syntaxes(), application_information=Options.answer_of_retrieval)
    others = {VERIFICATION: verification_support(), STORAGE_COMMITMENT_PUSH_MODEL: Support(plain_syntaxes())}
    return others | dict.fromkeys(FIND_LEVELS, query) | dict.fromkeys([*MOVE_LEVELS, *GET_LEVELS], retrieval)
