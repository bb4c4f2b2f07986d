"""Every file that pydicom brings along comes out byte for byte as it went in, by C-GET and by C-MOVE."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import pytest

from tests.interop.destination import Destination
from tests.interop.find.keys import EXPLICIT, IMPLICIT
from tests.interop.installed import Installed, free_port
from tests.interop.retrieve.conftest import Archive
from tests.interop.retriever import GET, MOVE, Retriever
from tests.interop.stored import Sent, sent_of
from tests.interop.test_shipped import REFUSED, rounds, to_send

ROUNDS = rounds([sent_of(path) for path in to_send() if path.name not in REFUSED])


def by_study(several: list[Sent]) -> dict[str, list[Sent]]:
    found = defaultdict(list)
    for one in several:
        found[one.study].append(one)
    return found


@pytest.mark.parametrize("maximum", [1000, 0])
@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_every_file_comes_out_as_it_went_in(number: int, maximum: int, install: Callable[..., Installed]) -> None:
    there_port = free_port()
    server = install(knownDestinations={"THERE": {"host": "127.0.0.1", "port": there_port}}).start()
    Archive(server, there_port).store(ROUNDS[number])
    with Destination(port=there_port, maximum=maximum) as there:
        for study, several in by_study(ROUNDS[number]).items():
            right = {one.sop_instance: (one.transfer_syntax, one.dataset) for one in several}
            pairs = sorted({(one.sop_class, one.transfer_syntax) for one in several})
            with Retriever(server.port, GET["study"], pairs) as asker:
                found = asker.get("STUDY", {"StudyInstanceUID": study})
            assert found.outcome == (0, (None, len(several), 0, 0))
            assert {one.sop_instance: (one.syntax, one.dataset) for one in found.stored} == right
            there.stored.clear()
            with Retriever(server.port, MOVE["study"]) as asker:
                assert asker.move("STUDY", {"StudyInstanceUID": study}, "THERE").outcome == found.outcome
            assert {one.sop_instance: (one.syntax, one.dataset) for one in there.stored} == right
            as_stored = [(sop_class, [syntax]) for sop_class, syntax in pairs]
            assert all(context in there.proposed[-1] for context in as_stored)
            # What they could be converted to, and nothing else.
            assert all(sop_class in dict(pairs) and set(syntaxes) <= {EXPLICIT, IMPLICIT}
                       for sop_class, syntaxes in there.proposed[-1] if (sop_class, syntaxes) not in as_stored)


def test_how_many_they_are() -> None:
    assert sum(map(len, ROUNDS)) == 143
