"""Whom we ask, under which names and for how long: what all requests to one application entity have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dicomserver.scu.requester import Requester
from dicomserver.session.association import Deadlines
from dicomserver.session.policy import DEFAULT_MAXIMUM_LENGTH
from dicomserver.session.proposal import propose
from dicomserver.wire.pdus import ExtendedNegotiation, RoleSelection


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An application entity, and how we present ourselves to it.

    timeout: seconds, the longest wait for each answer; connect_timeout: for the connection, None is the same.
    maximum_length: of the PDUs that we take, 0 is no limit.
    """

    host: str
    port: int
    calling_ae_title: str
    called_ae_title: str
    timeout: float = 60.0
    connect_timeout: float | None = None
    maximum_length: int = DEFAULT_MAXIMUM_LENGTH

    def associate(self, contexts: Iterable[tuple[str, Sequence[str]]], *, minimum_rate: float = math.inf,
                  role_selections: Iterable[RoleSelection] = (),
                  extended_negotiations: Iterable[ExtendedNegotiation] = (),
                  asynchronous_operations: tuple[int, int] | None = None) -> Requester:
        """An association with these (abstract syntax, transfer syntaxes) proposed. Raises AssociationFailed, and
        ValueError where there are none, or more than 128.

        minimum_rate: bytes a second of a message that takes longer than `timeout`; none is slow enough by default, so
        that `timeout` is for the whole of it. Who receives large datasets says another one.
        """
        request = propose(contexts, calling_ae_title=self.calling_ae_title, called_ae_title=self.called_ae_title,
                          maximum_length=self.maximum_length, role_selections=role_selections,
                          extended_negotiations=extended_negotiations,
                          asynchronous_operations=asynchronous_operations)
        deadlines = Deadlines(idle=self.timeout, progress=self.timeout, write=self.timeout, minimum_rate=minimum_rate)
        return Requester(self.host, self.port, request, deadlines=deadlines,
                         connect_timeout=self.connect_timeout or self.timeout)
