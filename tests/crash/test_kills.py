"""SIGKILL in the middle of a storm, again and again on the same data directory. What the kernel has it keeps, so this
proves less than the power cuts do; but it is the whole server, with all its threads."""
from __future__ import annotations

import random
import threading
from pathlib import Path

from dicomserver.scu.failures import AssociationFailed
from tests.crash.ledger import Ledger, Said, broken
from tests.crash.recovering import recover_twice
from tests.crash.requesting import Home
from tests.crash.running import Running
from tests.crash.tally import SEED, STATES, Tally
from tests.crash.traffic import Sample, Sender, sample

LANES = 4
ROUNDS = 1 + STATES // 50


class Storm:
    """Four associations that send until the server is gone."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.acknowledged: set[int] = set()
        self._changed = threading.Condition()

    def rage(self, server: Running, begin: int, until: int) -> None:
        """Kills the server as soon as `until` more instances were acknowledged, and returns when all have noticed."""
        with self._changed:
            enough = len(self.acknowledged) + until
        lanes = [threading.Thread(target=self._send, args=(server.port, lane, begin)) for lane in range(LANES)]
        for lane in lanes:
            lane.start()
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.acknowledged) >= enough, timeout=120)
        server.kill()
        for lane in lanes:
            lane.join()

    def _send(self, port: int, lane: int, number: int) -> None:
        try:
            with Sender(port) as sender:
                while True:
                    self._send_one(sender, sample(number, lane + 1, octets=1000 + number * 997 % 20_000))
                    number += 1
        except (AssociationFailed, OSError):
            return      # it was killed

    def _send_one(self, sender: Sender, one: Sample) -> None:
        message = self.ledger.sending(one)
        if sender.store(one, message) == 0:
            with self._changed:
                self.acknowledged.add(message)
                self._changed.notify_all()


def test_whatever_was_acknowledged_survives_any_number_of_kills(scratch: Path, home: Home, tally: Tally) -> None:
    storm, chance = Storm(), random.Random(SEED)
    for number in range(ROUNDS):
        with Running(scratch / "data") as server:
            storm.rage(server, begin=number * 100_000, until=chance.randint(1, 400))
    look = recover_twice(scratch / "data", home)
    lost = broken(storm.ledger.promises(Said(frozenset(storm.acknowledged))), look.instances)
    tally.add("SIGKILLs in a storm of four associations", ROUNDS, len(lost))
    assert lost == []
    assert look.problems == []
    # Nothing was acknowledged and damaged, nor was anything left that looks as if it had been.
    assert list((scratch / "data" / "quarantine").iterdir()) == []
    assert len(look.instances) >= len(storm.acknowledged) >= ROUNDS
