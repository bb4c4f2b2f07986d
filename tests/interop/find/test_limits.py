"""The limits of a query that an operator sets."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interop.find.asker import Asker, store
from tests.interop.find.family import instances, uid
from tests.interop.find.keys import IMPLICIT
from tests.interop.installed import Installed

FAMILY = {"PatientName": "family*", "StudyInstanceUID": ""}


@pytest.mark.parametrize("most, found, status", [(0, 6, 0), (6, 6, 0), (7, 6, 0), (5, 5, 0xA700), (1, 1, 0xA700)])
def test_the_row_cap(most: int, found: int, status: int, install: Callable[..., Installed]) -> None:
    """So many matches come, and the final status says that there were more; 0 is no cap."""
    server = install(maxQueryMatches=most).start()
    store(server.port, list(instances()))
    with Asker(server.port) as asker:
        answer = asker.find("STUDY", FAMILY)
        assert (len(answer.raw), answer.status) == (found, status)
        assert asker.find("STUDY", {"PatientID": "F-2"}).status == 0


@pytest.mark.parametrize("count, status", [(10_000, 0), (10_001, 0xA700)])
def test_the_longest_list(count: int, status: int, shared: Installed) -> None:
    store(shared.port, list(instances()))
    uids = "\\".join([uid(1), uid(3), *(f"1.{number}" for number in range(count - 2))])
    with Asker(shared.port, syntax=IMPLICIT) as asker:
        answer = asker.find("STUDY", {"StudyInstanceUID": uids})
        assert (answer.status, len(answer.raw)) == (status, 0 if status else 2)


def test_with_an_index_in_memory(install: Callable[..., Installed]) -> None:
    """The other engine finds the same."""
    server = install("none").start()
    store(server.port, list(instances()))
    with Asker(server.port) as asker:
        assert len(asker.find("STUDY", FAMILY).raw) == 6
        assert asker.find("STUDY", {"ModalitiesInStudy": "SR", "StudyInstanceUID": ""}).values("StudyInstanceUID") \
            == [(uid(1),)]
