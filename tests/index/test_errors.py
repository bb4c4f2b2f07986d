from __future__ import annotations

import pytest

from dicomserver.index import errors


@pytest.mark.parametrize("kind", [errors.IndexUnavailable, errors.IndexFull, errors.IndexDamaged,
                                  errors.IndexTooNew, errors.UnknownEngine, errors.SearchInterrupted])
def test_every_failure_is_an_index_fault(kind: type[Exception]) -> None:
    with pytest.raises(errors.IndexFault):
        raise kind("x")


def test_the_failures_are_told_apart() -> None:
    assert not issubclass(errors.IndexFull, errors.IndexUnavailable)
    assert not issubclass(errors.IndexDamaged, errors.IndexUnavailable)
    assert not issubclass(errors.SearchInterrupted, errors.IndexUnavailable)
