import pytest

from dicomserver.scu.peer import Peer
from dicomserver.wire.pdus import RoleSelection

VERIFICATION, CT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = ("1.2.840.10008.1.2",)


def test_an_association_with_roles(scp):
    role = RoleSelection(CT, scu=False, scp=True)
    with scp().peer.associate([(VERIFICATION, IMPLICIT), (CT, IMPLICIT)], role_selections=[role]) as association:
        assert [(context.as_scu, context.as_scp) for context in association.contexts.values()] == [
            (True, False), (False, True)]
        assert association.context_for(VERIFICATION, "1.2.840.10008.1.2.1") is None


def test_what_we_announce(peer):
    received = []
    with peer.scripted(peer.accept(), peer.RELEASE_RP, received=received) as port:
        with Peer(host="127.0.0.1", port=port, calling_ae_title="US", called_ae_title="THEM", timeout=5,
                  connect_timeout=2, maximum_length=0x12345).associate([(VERIFICATION, IMPLICIT)]):
            pass
    assert b"\x51\x00\x00\x04\x00\x01\x23\x45" in received[0]


def test_nothing_to_propose():
    with pytest.raises(ValueError):
        Peer(host="127.0.0.1", port=1, calling_ae_title="US", called_ae_title="THEM").associate([])
