import pytest

from tests.session.peers import tcp_pair


@pytest.fixture
def pair():
    """An inlet's socket and the peer's, over TCP: shutdown of one direction works as it does in the field."""
    ours, peer = tcp_pair()
    yield ours, peer
    ours.close()
    peer.close()
