"""Which messages are answered by a service, and which are not."""
from __future__ import annotations

import logging

import pytest

from dicomserver.services.registry import build_handlers, sop_classes
from dicomserver.standard.query import FIND_LEVELS, GET_LEVELS, MOVE_LEVELS
from dicomserver.standard.uids import (
    EXPLICIT_VR_BE,
    EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    STORAGE_COMMITMENT_PUSH_MODEL,
    VERIFICATION,
)
from dicomserver.wire.commands import C_ECHO_RQ, C_FIND_RQ, C_GET_RQ, C_MOVE_RQ, C_STORE_RQ, N_ACTION_RQ

RETRIEVAL = [*MOVE_LEVELS, *GET_LEVELS]


def test_the_services_of_this_version(provider) -> None:
    handlers = build_handlers(provider.archive, provider.index, provider.waiting.append, logging.getLogger("test"),
                              ae_title="US")
    assert sorted(handlers) == sorted([C_ECHO_RQ, C_STORE_RQ, C_FIND_RQ, C_GET_RQ, C_MOVE_RQ, N_ACTION_RQ])
    assert all(map(callable, handlers.values()))


@pytest.mark.parametrize("uid", [VERIFICATION, STORAGE_COMMITMENT_PUSH_MODEL, *FIND_LEVELS, *RETRIEVAL])
def test_what_is_served_beside_storage(uid: str) -> None:
    support = sop_classes()[uid]
    assert support.transfer_syntaxes == {EXPLICIT_VR_LE, IMPLICIT_VR_LE, EXPLICIT_VR_BE}
    assert support.as_scp and not support.as_scu
    if uid in FIND_LEVELS:
        assert support.application_information(b"\1\1\1\1\1\1\1") == b"\1\1\1\0\0\1\1"
    if uid in RETRIEVAL:
        assert support.application_information(b"\1\1") == b"\1\0"


def test_nothing_else_is() -> None:
    assert set(sop_classes()) == {VERIFICATION, STORAGE_COMMITMENT_PUSH_MODEL, *FIND_LEVELS, *RETRIEVAL}
