import pytest

from dicomserver.scu.failures import Aborted, NotNegotiated, Refused, Silent, UnknownHost, Unreachable, Violated


@pytest.mark.parametrize("source, reason", [(1, 4), (2, 3), (3, 0), (0, 0), (255, 255)])
def test_a_reason_that_the_standard_does_not_have_is_told_as_it_is(source, reason):
    assert str(Refused(1, source, reason)) == f"refused the association: source {source}, reason {reason}"


def test_only_a_transient_refusal_is_worth_another_try():
    assert Refused(2, 3, 2).is_transient
    assert not Refused(1, 3, 2).is_transient


def test_what_may_pass_and_what_may_not():
    assert all(kind.is_transient for kind in (Unreachable, Aborted, Silent))
    assert not any(kind.is_transient for kind in (UnknownHost, NotNegotiated, Violated))
