"""Which messages are answered by a service, and which are not."""
from __future__ import annotations

import logging

from dicomserver.services.registry import build_handlers
from dicomserver.wire.commands import C_ECHO_RQ, C_FIND_RQ, C_GET_RQ, C_MOVE_RQ, C_STORE_RQ


def test_the_services_of_this_version(provider) -> None:
    handlers = build_handlers(provider.archive, provider.index, provider.waiting.append, logging.getLogger("test"),
                              ae_title="US")
    assert sorted(handlers) == sorted([C_ECHO_RQ, C_STORE_RQ, C_FIND_RQ, C_GET_RQ, C_MOVE_RQ])
    assert all(map(callable, handlers.values()))
