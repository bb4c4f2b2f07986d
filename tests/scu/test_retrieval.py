import threading

from dicomserver.scu.failures import AssociationFailed
from dicomserver.scu.requester import Requester
from dicomserver.scu.retrieval import Retrieval
from dicomserver.scu.retrieve import Counters, Result, associate_to_move, move
from dicomserver.scu.selection import Selection
from dicomserver.session.association import Deadlines
from dicomserver.session.proposal import propose

DONE = Result(0, Counters())
REQUEST = propose([("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])], calling_ae_title="US", called_ae_title="THEM")


def test_each_over_an_association_of_its_own(scp):
    server = scp()
    selections = [Selection(f"1.2.{number}") for number in range(4)]
    retrieval = Retrieval(lambda _: associate_to_move(server.peer), lambda one, what: move(one, what, "THERE"),
                          parallel=2)
    outcomes = dict(retrieval.outcomes(selections))
    assert set(outcomes) == set(selections)
    assert {outcome.status for outcome in outcomes.values()} == {0xA801}
    assert server.associations == 4


def test_as_many_at_once_as_allowed(scp):
    server = scp()
    together = threading.Barrier(3)

    def retrieve(association, selection):
        together.wait(10)       # breaks if they are not three
        return DONE

    selections = [Selection(f"1.2.{number}") for number in range(6)]
    retrieval = Retrieval(lambda _: associate_to_move(server.peer), retrieve, parallel=3)
    assert [outcome for _, outcome in retrieval.outcomes(selections)] == [DONE] * 6


def test_one_that_fails_is_one_that_fails(scp):
    server = scp()

    def retrieve(association, selection):
        if selection.study == "1.2.1":
            raise AssociationFailed("went away")
        return DONE

    outcomes = dict(Retrieval(lambda _: associate_to_move(server.peer), retrieve).outcomes(
        [Selection("1.2.1"), Selection("1.2.2")]))
    assert str(outcomes[Selection("1.2.1")]) == "went away"
    assert outcomes[Selection("1.2.2")] is DONE


def test_who_stops_asking_ends_those_that_wait(peer):
    """The first has ended; the second waits for a peer that says nothing, for a minute if it were left alone."""
    waits = threading.Event()
    ended = []

    def retrieve(association, selection):
        if selection.study == "1":
            waits.wait(10)
            return DONE
        waits.set()
        try:
            association.receive()
        except AssociationFailed as failed:
            ended.append(str(failed))
            raise

    with peer.scripted(peer.accept(), peer.RELEASE_RP) as one, peer.scripted(peer.accept()) as two:
        ports = {"1": one, "2": two}
        retrieval = Retrieval(lambda selection: Requester("127.0.0.1", ports[selection.study], REQUEST,
                                                          deadlines=Deadlines(idle=3), connect_timeout=3),
                              retrieve, parallel=2)
        outcomes = retrieval.outcomes([Selection("1"), Selection("2")])
        next(outcomes)
        outcomes.close()
    assert ended == ["was stopped from here before it was done"]
