"""Every cell of PS3.8 Table 9-10, against a second copy typed in another layout, and against pynetdicom's."""

import pytest
from pynetdicom import fsm

from dicomserver.session.states import (
    DESCRIPTIONS, EFFECTS, EVENT_OF_PDU_TYPE, TABLE_9_10, TRANSITIONS, Action, Artim, Event, State,
)

# By event: which action in which states (PS3.8 2024e, Table 9-10); states that are not named have no cell.
BY_EVENT = {
    1: {"AE-1": [1]},
    2: {"AE-2": [4]},
    3: {"AA-1": [2], "AE-3": [5], "AA-8": [3, 6, 7, 8, 9, 10, 11, 12], "AA-6": [13]},
    4: {"AA-1": [2], "AE-4": [5], "AA-8": [3, 6, 7, 8, 9, 10, 11, 12], "AA-6": [13]},
    5: {"AE-5": [1]},
    6: {"AE-6": [2], "AA-8": [3, 5, 6, 7, 8, 9, 10, 11, 12], "AA-7": [13]},
    7: {"AE-7": [3]},
    8: {"AE-8": [3]},
    9: {"DT-1": [6], "AR-7": [8]},
    10: {"AA-1": [2], "DT-2": [6], "AR-6": [7], "AA-8": [3, 5, 8, 9, 10, 11, 12], "AA-6": [13]},
    11: {"AR-1": [6]},
    12: {"AA-1": [2], "AR-2": [6], "AR-8": [7], "AA-8": [3, 5, 8, 9, 10, 11, 12], "AA-6": [13]},
    13: {"AA-1": [2], "AR-3": [7, 11], "AR-10": [10], "AA-8": [3, 5, 6, 8, 9, 12], "AA-6": [13]},
    14: {"AR-4": [8, 12], "AR-9": [9]},
    15: {"AA-1": [3, 5, 6, 7, 8, 9, 10, 11, 12], "AA-2": [4]},
    16: {"AA-2": [2, 13], "AA-3": [3, 5, 6, 7, 8, 9, 10, 11, 12]},
    17: {"AA-5": [2], "AA-4": [3, 4, 5, 6, 7, 8, 9, 10, 11, 12], "AR-5": [13]},
    18: {"AA-2": [2, 13]},
    19: {"AA-1": [2], "AA-8": [3, 5, 6, 7, 8, 9, 10, 11, 12], "AA-7": [13]},
}

# By action: the state after it (PS3.8 Tables 9-6 to 9-9).
NEXT = {
    "AE-1": [4], "AE-2": [5], "AE-3": [6], "AE-4": [1], "AE-5": [2], "AE-6": [3, 13],
    "AE-7": [6], "AE-8": [13],
    "DT-1": [6], "DT-2": [6],
    "AR-1": [7], "AR-2": [8], "AR-3": [1], "AR-4": [13], "AR-5": [1], "AR-6": [7],
    "AR-7": [8], "AR-8": [9, 10], "AR-9": [11], "AR-10": [12],
    "AA-1": [13], "AA-2": [1], "AA-3": [1], "AA-4": [1], "AA-5": [1], "AA-6": [13],
    "AA-7": [13], "AA-8": [13],
}

CELLS = [(state, event) for state in State for event in Event]


def expected(state: int, event: int) -> str | None:
    return next((action for action, states in BY_EVENT[event].items() if state in states), None)


def test_the_table_has_thirteen_states_and_nineteen_events():
    assert [s.value for s in State] == list(range(1, 14))
    assert [e.value for e in Event] == list(range(1, 20))
    assert len(CELLS) == 13 * 19


@pytest.mark.parametrize(("state", "event"), CELLS, ids=lambda member: member.name)
def test_every_cell(state, event):
    name = expected(state, event)
    if name is None:
        assert (state, event) not in TRANSITIONS
    else:
        action, next_states = TRANSITIONS[state, event]
        assert action.value == name
        assert list(next_states) == NEXT[name]


def test_pynetdicom_has_the_same_table():
    ours = {(f"Evt{event:d}", f"Sta{state:d}"): cell[0].value for (state, event), cell in TRANSITIONS.items()}
    assert ours == fsm.TRANSITION_TABLE


@pytest.mark.parametrize("action", Action, ids=lambda action: action.value)
def test_pynetdicom_has_the_same_next_states(action):
    theirs = fsm.ACTIONS[action.value][2]
    theirs = [theirs] if isinstance(theirs, str) else list(theirs)
    assert [f"Sta{effect.next_state:d}" for effect in EFFECTS[action]] == theirs


def test_every_action_is_described_and_used():
    assert set(DESCRIPTIONS) == set(EFFECTS) == set(Action) == {action for action, _ in TRANSITIONS.values()}
    assert len(Action) == 28 and all(DESCRIPTIONS.values())


def test_the_printed_table_is_the_whole_grid():
    heading, *rows = TABLE_9_10.strip().splitlines()
    assert heading.split() == [f"Sta{n}" for n in range(1, 14)]
    assert [row.split()[0] for row in rows] == [f"Evt{n}" for n in range(1, 20)]
    assert {len(row.split()) for row in rows} == {14}


def doing(field, value):
    return {action.value for action in Action if any(getattr(e, field) == value for e in EFFECTS[action])}


@pytest.mark.parametrize(("pdu", "actions"), [
    ("A-ASSOCIATE-RQ", {"AE-2"}),
    ("A-ASSOCIATE-AC", {"AE-7"}),
    ("A-ASSOCIATE-RJ", {"AE-6", "AE-8"}),
    ("P-DATA-TF", {"DT-1", "AR-7"}),
    ("A-RELEASE-RQ", {"AR-1"}),
    ("A-RELEASE-RP", {"AR-4", "AR-9"}),
    ("A-ABORT", {"AA-1", "AA-7", "AA-8"}),
])
def test_which_actions_send_a_pdu(pdu, actions):
    assert doing("sends", pdu) == actions


@pytest.mark.parametrize(("issues", "actions"), [
    ("TRANSPORT CONNECT request", {"AE-1"}),
    ("TRANSPORT CONNECT response", {"AE-5"}),
    ("A-ASSOCIATE indication", {"AE-6"}),
    ("A-ASSOCIATE confirmation (accept)", {"AE-3"}),
    ("A-ASSOCIATE confirmation (reject)", {"AE-4"}),
    ("P-DATA indication", {"DT-2", "AR-6"}),
    ("A-RELEASE indication", {"AR-2"}),
    ("A-RELEASE indication (collision)", {"AR-8"}),
    ("A-RELEASE confirmation", {"AR-3", "AR-10"}),
    ("A-ABORT or A-P-ABORT indication", {"AA-3"}),
    ("A-P-ABORT indication", {"AA-4", "AA-8"}),
])
def test_which_actions_issue_a_primitive(issues, actions):
    assert doing("issues", issues) == actions


def test_which_actions_touch_artim():
    assert doing("artim", Artim.START) == {"AE-5", "AE-6", "AE-8", "AR-4", "AA-1", "AA-8"}
    assert doing("artim", Artim.STOP) == {"AE-6", "AR-5", "AA-2", "AA-5"}


def test_which_actions_close_the_connection():
    assert doing("closes", True) == {"AE-4", "AR-3", "AA-2", "AA-3"}


def test_who_aborts():
    assert doing("abort_source", 0) == {"AA-1"}
    assert doing("abort_source", 2) == {"AA-7", "AA-8"}


def test_each_pdu_type_has_its_event():
    assert EVENT_OF_PDU_TYPE == {
        1: Event.EVT6, 2: Event.EVT3, 3: Event.EVT4, 4: Event.EVT10,
        5: Event.EVT12, 6: Event.EVT13, 7: Event.EVT16,
    }


def test_whatever_a_connected_peer_does_has_a_cell():
    connected = set(State) - {State.STA1, State.STA4}
    from_the_peer = [*EVENT_OF_PDU_TYPE.values(), Event.EVT17, Event.EVT19]
    assert all((state, event) in TRANSITIONS for state in connected for event in from_the_peer)
