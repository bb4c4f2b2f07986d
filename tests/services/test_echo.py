"""C-ECHO, answered where it belongs and refused where it does not."""
from __future__ import annotations

from tests.interop.sender import Sender

VERIFICATION, CT, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"


def test_an_echo(provider) -> None:
    with Sender(provider.port, [(VERIFICATION, [IMPLICIT])]) as association:
        assert [association.echo(), association.echo()] == [0, 0]


def test_an_echo_on_a_context_of_something_else(provider) -> None:
    with Sender(provider.port, [(CT, [IMPLICIT]), (VERIFICATION, [IMPLICIT])]) as association:
        assert association.echo(1) == 0x0122
        assert association.echo(3) == 0
