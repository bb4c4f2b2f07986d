"""Walks of real associations through the state machine, seen from both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomserver.session.machine import LocalProtocolError, StateMachine
from dicomserver.session.states import EFFECTS, TRANSITIONS, Action, Event, State

ACCEPTED = {True: [1, 2, 3], False: [5, 6, 7]}  # the events that bring each side to Sta6


def walk(machine, *events):
    return [machine.on(Event(n)).value for n in events]


def established(requestor):
    machine = StateMachine(requestor)
    walk(machine, *ACCEPTED[requestor])
    assert machine.state is State.STA6
    return machine


def placed(state, requestor=False):
    machine = StateMachine(requestor)
    machine.state = state
    return machine


def test_a_new_machine_is_idle():
    machine = StateMachine(requestor=False)
    assert (machine.state, machine.artim_running, machine.effect) == (State.STA1, False, None)


@pytest.mark.parametrize("requestor", [True, False])
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_cell_is_followed(state, event, requestor):
    machine = placed(state, requestor)
    if (state, event) not in TRANSITIONS:
        with pytest.raises(LocalProtocolError, match=rf"^Evt{event:d} cannot happen in Sta{state:d}$"):
            machine.on(event)
        assert machine.state is state
        return
    action, next_states = TRANSITIONS[state, event]
    assert machine.on(event) is action
    assert machine.state in next_states
    assert machine.effect in EFFECTS[action]


def test_acceptor_accepts_receives_and_is_released():
    machine = StateMachine(requestor=False)
    assert walk(machine, 5) == ["AE-5"] and machine.artim_running
    assert walk(machine, 6) == ["AE-6"] and machine.state is State.STA3 and not machine.artim_running
    assert walk(machine, 7) == ["AE-7"] and machine.state is State.STA6
    assert walk(machine, 10, 9, 10, 9) == ["DT-2", "DT-1", "DT-2", "DT-1"]
    assert walk(machine, 12) == ["AR-2"] and machine.state is State.STA8
    assert walk(machine, 9) == ["AR-7"] and machine.state is State.STA8
    assert walk(machine, 14) == ["AR-4"] and machine.artim_running and machine.state is State.STA13
    assert walk(machine, 17) == ["AR-5"] and not machine.artim_running and machine.state is State.STA1


def test_requestor_is_accepted_sends_and_releases():
    machine = StateMachine(requestor=True)
    assert walk(machine, 1, 2, 3) == ["AE-1", "AE-2", "AE-3"] and machine.state is State.STA6
    assert walk(machine, 9, 10, 11) == ["DT-1", "DT-2", "AR-1"] and machine.state is State.STA7
    assert walk(machine, 10) == ["AR-6"] and machine.state is State.STA7
    assert walk(machine, 13) == ["AR-3"] and machine.state is State.STA1 and machine.effect.closes
    assert not machine.artim_running


def test_acceptor_rejects_as_provider():
    machine = StateMachine(requestor=False)
    machine.on(Event.EVT5)
    assert machine.on(Event.EVT6, accept=False) is Action.AE_6
    assert (machine.state, machine.artim_running) == (State.STA13, True)
    assert (machine.effect.sends, machine.effect.issues) == ("A-ASSOCIATE-RJ", None)


def test_acceptor_rejects_as_user():
    machine = StateMachine(requestor=False)
    assert walk(machine, 5, 6, 8) == ["AE-5", "AE-6", "AE-8"]
    assert machine.state is State.STA13 and machine.artim_running
    assert machine.effect.sends == "A-ASSOCIATE-RJ"
    assert walk(machine, 18) == ["AA-2"]
    assert (machine.state, machine.artim_running, machine.effect.closes) == (State.STA1, False, True)


def test_requestor_is_rejected():
    machine = StateMachine(requestor=True)
    assert walk(machine, 1, 2, 4) == ["AE-1", "AE-2", "AE-4"]
    assert machine.state is State.STA1 and machine.effect.closes


def test_release_collision_of_the_requestor():
    machine = established(requestor=True)
    assert walk(machine, 11, 12) == ["AR-1", "AR-8"] and machine.state is State.STA9
    assert walk(machine, 14) == ["AR-9"] and machine.state is State.STA11
    assert machine.effect.sends == "A-RELEASE-RP" and not machine.artim_running
    assert walk(machine, 13) == ["AR-3"] and machine.state is State.STA1


def test_release_collision_of_the_acceptor():
    machine = established(requestor=False)
    assert walk(machine, 11, 12) == ["AR-1", "AR-8"] and machine.state is State.STA10
    assert walk(machine, 13) == ["AR-10"] and machine.state is State.STA12
    assert walk(machine, 14) == ["AR-4"] and machine.state is State.STA13 and machine.artim_running
    assert walk(machine, 17) == ["AR-5"] and machine.state is State.STA1


def test_two_machines_release_at_the_same_time():
    requestor, acceptor = established(True), established(False)
    for machine in (requestor, acceptor):
        machine.on(Event.EVT11)
    for machine in (requestor, acceptor):
        machine.on(Event.EVT12)
    requestor.on(Event.EVT14)  # only the requestor may answer now
    with pytest.raises(LocalProtocolError):
        acceptor.on(Event.EVT14)
    acceptor.on(Event.EVT13)
    acceptor.on(Event.EVT14)
    requestor.on(Event.EVT13)
    acceptor.on(Event.EVT17)
    assert (requestor.state, acceptor.state) == (State.STA1, State.STA1)


@pytest.mark.parametrize("requestor", [True, False])
def test_we_abort(requestor):
    machine = established(requestor)
    assert walk(machine, 15) == ["AA-1"] and machine.effect.abort_source == 0
    assert machine.state is State.STA13 and machine.artim_running
    assert walk(machine, 10, 12, 3) == ["AA-6", "AA-6", "AA-6"] and machine.artim_running
    assert walk(machine, 6, 19) == ["AA-7", "AA-7"] and machine.effect.sends == "A-ABORT"
    assert walk(machine, 17) == ["AR-5"] and machine.state is State.STA1


@pytest.mark.parametrize("requestor", [True, False])
def test_the_peer_aborts(requestor):
    machine = established(requestor)
    assert walk(machine, 16) == ["AA-3"] and machine.effect.closes and machine.state is State.STA1


@pytest.mark.parametrize("event", [3, 4, 6, 13, 19])
def test_the_peer_breaks_the_protocol(event):
    machine = established(requestor=False)
    assert walk(machine, event) == ["AA-8"] and machine.effect.abort_source == 2
    assert machine.state is State.STA13 and machine.artim_running


def test_the_connection_is_lost():
    machine = established(requestor=False)
    assert walk(machine, 17) == ["AA-4"] and machine.state is State.STA1
    assert machine.effect.issues == "A-P-ABORT indication"


def test_a_peer_that_connects_and_says_nothing():
    machine = StateMachine(requestor=False)
    assert walk(machine, 5, 18) == ["AE-5", "AA-2"]
    assert (machine.state, machine.artim_running, machine.effect.closes) == (State.STA1, False, True)
    assert machine.effect.sends is None


@pytest.mark.parametrize("event", [3, 4, 10, 12, 13, 19])
def test_a_peer_that_does_not_begin_with_a_request(event):
    machine = StateMachine(requestor=False)
    assert walk(machine, 5, event) == ["AE-5", "AA-1"]
    assert machine.state is State.STA13 and machine.artim_running


def test_accept_means_nothing_to_other_cells():
    machine = established(requestor=False)
    assert machine.on(Event.EVT10, accept=False) is Action.DT_2 and machine.state is State.STA6
    machine.on(Event.EVT11)
    assert machine.on(Event.EVT12, accept=False) is Action.AR_8 and machine.state is State.STA10


@given(st.booleans(), st.lists(st.tuples(st.sampled_from(Event), st.booleans()), max_size=40))
def test_artim_runs_exactly_in_sta2_and_sta13(requestor, events):
    machine = StateMachine(requestor)
    for event, accept in events:
        before = machine.state
        try:
            machine.on(event, accept=accept)
        except LocalProtocolError:
            assert machine.state is before and (before, event) not in TRANSITIONS
        assert machine.artim_running == (machine.state in (State.STA2, State.STA13))
