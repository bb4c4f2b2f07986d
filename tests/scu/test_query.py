from contextlib import closing

import pytest

from dicomserver.scu.failures import NotNegotiated, Violated
from dicomserver.scu.identifier import Key
from dicomserver.scu.query import QueryRequester, RequestFailed, associate, model_of
from dicomserver.standard.attributes import Level
from dicomserver.wire.command import CommandSet, encode_command
from tests.scu.scp import STUDY, instance

MODEL = model_of(Level.STUDY)
NAME, UID, SOP = 0x00100010, 0x0020000D, 0x00080018
KEYS = [Key(UID, "UI"), Key(NAME, "PN", "DOE*")]


def asked(peer, level=Level.STUDY, keys=KEYS, model=MODEL):
    with associate(peer, model) as association:
        return list(QueryRequester(association, model).find(level, keys))


def test_the_models():
    assert model_of(Level.PATIENT).endswith(".2.1.1")
    assert {model_of(level) for level in (Level.STUDY, Level.SERIES, Level.INSTANCE)} == {MODEL}


def test_matches_come_as_values(scp):
    server = scp(kept=[instance(name="Wang^XiaoDong=王^小東"), instance(study="1.2.9")])
    assert [(str(match[UID]), str(match[NAME])) for match in asked(server.peer)] == [
        (STUDY, "Wang^XiaoDong=王^小東"), ("1.2.9", "DOE^JOHN")]


def test_no_match_is_no_failure(scp):
    assert asked(scp().peer) == []


def test_several_queries_over_one_association(scp):
    server = scp(kept=[instance()])
    with associate(server.peer, MODEL) as association:
        requester = QueryRequester(association, MODEL)
        assert [len(list(requester.find(Level.STUDY, KEYS))) for _ in range(3)] == [1, 1, 1]
    assert [request.MessageID for request in server.seen] == [1, 2, 3]


def test_who_has_seen_enough_cancels(scp):
    server = scp(kept=[instance(number) for number in range(500)])
    with associate(server.peer, MODEL) as association:
        requester = QueryRequester(association, MODEL)
        with closing(requester.find(Level.INSTANCE, [Key(SOP, "UI")])) as matches:
            next(matches)
        assert len(list(requester.find(Level.STUDY, KEYS))) == 1


def test_a_server_without_queries(scp):
    with pytest.raises(NotNegotiated, match="does not offer queries"):
        asked(scp(qr=False).peer)


def response(status, **more):
    return encode_command(CommandSet(**{"command_field": 0x8020, "message_id_being_responded_to": 1,
                                        "command_data_set_type": 0x0101, "status": status} | more))


@pytest.mark.parametrize("answer, kind, text", [
    ([(1, 3, response(0xA900, error_comment="no level"))], RequestFailed, "refused the query with status A900H"),
    ([(1, 3, response(0xFF00))], Violated, "answered the query with a match that has no content"),
    ([(1, 3, response(0xFF00, command_data_set_type=0)), (1, 2, b"junk")], Violated, "a malformed match"),
    ([(1, 3, response(0, message_id_being_responded_to=2))], Violated, "answered something else than the query"),
])
def test_what_can_go_wrong(answer, kind, text, peer):
    from dicomserver.scu.peer import Peer
    with peer.scripted(peer.accept(), peer.data(*answer), peer.RELEASE_RP) as port:
        with pytest.raises(kind, match=text) as error:
            asked(Peer(host="127.0.0.1", port=port, calling_ae_title="US", called_ae_title="THEM", timeout=2))
    assert kind is Violated or error.value.comment == "no level"


def test_options_are_asked_for_only_where_needed(peer):
    from dicomserver.scu.peer import Peer
    for relational, fuzzy, proposed in ((1, 0, b"\1"), (0, 1, b"\0\0\1"), (1, 1, b"\1\0\1"), (0, 0, None)):
        received = []
        with peer.scripted(peer.accept(), peer.RELEASE_RP, received=received) as port:
            them = Peer(host="127.0.0.1", port=port, calling_ae_title="US", called_ae_title="THEM", timeout=2)
            with associate(them, MODEL, relational=bool(relational), fuzzy=bool(fuzzy)):
                pass
        item = (len(MODEL) + 2 + len(proposed or b"")).to_bytes(2) + len(MODEL).to_bytes(2) + MODEL.encode()
        assert (item + proposed in received[0]) if proposed else b"\x56\0" not in received[0]
