"""A peer of a server whose disk fails or which dies: it keeps what it was promised."""
from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from dicomserver.scu.failures import AssociationFailed
from tests.crash.asking import ask_all
from tests.crash.ledger import Ledger, Said, broken
from tests.crash.requesting import ask, transaction
from tests.crash.running import Running
from tests.crash.traffic import Sample, Sender
from tests.interop.requester import Report
from tests.interop.sender import Ended

GONE = -1       # for a status: the server is


class Client:
    """Of one thread."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._ledger = Ledger()
        self._said = Said()

    def store(self, one: Sample) -> int:
        """-> the status: success, out of resources or a failure of ours (PS3.4 B.2.3), GONE."""
        message = self._ledger.sending(one)
        try:
            with Sender(self._server.port) as sender:
                status = sender.store(one, message)
        except AssociationFailed:
            return GONE
        assert status == 0 or status >> 8 == 0xA7 or status >> 12 == 0xC, f"{status:04X}H"
        if status == 0:
            self._said = self._said._replace(acknowledged=self._said.acknowledged | {message})
        return status

    def commit(self, number: int, samples: Sequence[Sample]) -> int:
        """Asks for a storage commitment, and is not there for the report; -> the status, GONE."""
        uid = transaction(number)
        message = self._ledger.committing(uid)
        try:
            status = ask(self._server.port, message, uid, samples, stays=False)
        except (Ended, ConnectionError):
            return GONE
        if status == 0:
            self._said = self._said._replace(accepted=self._said.accepted | {message})
        return status

    def delete(self, one: Sample, *options: str) -> None:
        """With the real command; it may fail if the server dies."""
        self._ledger.deleting([one])
        self._said = self._said._replace(asked=self._said.asked + 1)
        try:
            self._server.command("delete", "--instance", one.uid, "--yes", *options)
        except subprocess.CalledProcessError:
            return
        self._said = self._said._replace(answered=self._said.answered + 1)

    def finds_and_gets_all(self) -> None:
        """All that was promised is found and served, and nothing else than was sent."""
        answers = ask_all(self._server.port)
        assert answers.problems == []
        assert self.broken(answers.served, None) == []

    def broken(self, found: Mapping[str, bytes], reports: Mapping[str, Report] | None) -> list[str]:
        """See ledger.broken; reports: None where none are to be expected yet."""
        promises = self._ledger.promises(self._said)
        if reports is None:
            promises.waiting.clear()
        return broken(promises, found, reports or {})

    def mover_has_tried(self) -> bool:
        """Whether nothing waits in the intake, or what does cannot be filed."""
        stats = self._server.stats()
        return stats["moverFails"] or stats["waitingInstances"] == 0

    def all_is_filed(self) -> bool:
        stats = self._server.stats()
        return not stats["moverFails"] and stats["waitingInstances"] == 0
