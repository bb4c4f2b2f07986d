"""The DICOM upper layer's state machine as data: PS3.8 9.2.1 to 9.2.3, Tables 9-1 to 9-10."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class State(IntEnum):
    """PS3.8 9.2.1, Tables 9-1 to 9-5."""

    STA1 = 1  # idle: no transport connection
    STA2 = 2  # transport connection open, awaiting A-ASSOCIATE-RQ
    STA3 = 3  # awaiting the local A-ASSOCIATE response
    STA4 = 4  # awaiting the transport connection that was asked for
    STA5 = 5  # awaiting A-ASSOCIATE-AC or -RJ
    STA6 = 6  # association established, ready for data
    STA7 = 7  # awaiting A-RELEASE-RP
    STA8 = 8  # awaiting the local A-RELEASE response
    STA9 = 9  # release collision, requestor: awaiting the local A-RELEASE response
    STA10 = 10  # release collision, acceptor: awaiting A-RELEASE-RP
    STA11 = 11  # release collision, requestor: awaiting A-RELEASE-RP
    STA12 = 12  # release collision, acceptor: awaiting the local A-RELEASE response
    STA13 = 13  # awaiting the end of the transport connection; no association any more


class Event(IntEnum):
    """PS3.8 9.2.2, Table 9-10's rows."""

    EVT1 = 1  # A-ASSOCIATE request (local)
    EVT2 = 2  # transport connection confirmed (ours to the peer is open)
    EVT3 = 3  # A-ASSOCIATE-AC received
    EVT4 = 4  # A-ASSOCIATE-RJ received
    EVT5 = 5  # transport connection indication (a peer has connected)
    EVT6 = 6  # A-ASSOCIATE-RQ received
    EVT7 = 7  # A-ASSOCIATE response, accept (local)
    EVT8 = 8  # A-ASSOCIATE response, reject (local)
    EVT9 = 9  # P-DATA request (local)
    EVT10 = 10  # P-DATA-TF received
    EVT11 = 11  # A-RELEASE request (local)
    EVT12 = 12  # A-RELEASE-RQ received
    EVT13 = 13  # A-RELEASE-RP received
    EVT14 = 14  # A-RELEASE response (local)
    EVT15 = 15  # A-ABORT request (local)
    EVT16 = 16  # A-ABORT received
    EVT17 = 17  # transport connection closed
    EVT18 = 18  # ARTIM timer expired
    EVT19 = 19  # unrecognized or invalid PDU received


# The event that a PDU's first octet makes (PS3.8 9.3.1); every other type, or an invalid PDU, is EVT19.
EVENT_OF_PDU_TYPE = {
    0x01: Event.EVT6,
    0x02: Event.EVT3,
    0x03: Event.EVT4,
    0x04: Event.EVT10,
    0x05: Event.EVT12,
    0x06: Event.EVT13,
    0x07: Event.EVT16,
}


class Action(Enum):
    """PS3.8 9.2.3, Tables 9-6 to 9-9. What each one does: EFFECTS."""

    AE_1 = "AE-1"
    AE_2 = "AE-2"
    AE_3 = "AE-3"
    AE_4 = "AE-4"
    AE_5 = "AE-5"
    AE_6 = "AE-6"
    AE_7 = "AE-7"
    AE_8 = "AE-8"
    DT_1 = "DT-1"
    DT_2 = "DT-2"
    AR_1 = "AR-1"
    AR_2 = "AR-2"
    AR_3 = "AR-3"
    AR_4 = "AR-4"
    AR_5 = "AR-5"
    AR_6 = "AR-6"
    AR_7 = "AR-7"
    AR_8 = "AR-8"
    AR_9 = "AR-9"
    AR_10 = "AR-10"
    AA_1 = "AA-1"
    AA_2 = "AA-2"
    AA_3 = "AA-3"
    AA_4 = "AA-4"
    AA_5 = "AA-5"
    AA_6 = "AA-6"
    AA_7 = "AA-7"
    AA_8 = "AA-8"


class Artim(Enum):
    """What an action does to the association request/reject/release timer."""

    START = "start"  # from zero, also when it runs already
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Effect:
    """One outcome of an action: the next state, and what has to be done to get there."""

    next_state: State
    sends: str | None = None  # the PDU that goes out
    abort_source: int | None = None  # of the A-ABORT that goes out: 0 service-user, 2 service-provider
    issues: str | None = None  # the primitive for the local user (or for the transport service)
    artim: Artim | None = None  # None: left as it is
    closes: bool = False  # the transport connection, once everything is sent


# PS3.8 Tables 9-6 to 9-9. Two actions have two outcomes: AE-6 (the request is acceptable, it is not)
# and AR-8 (we are the association's requestor, we are its acceptor).
EFFECTS: dict[Action, tuple[Effect, ...]] = {
    # Association establishment
    Action.AE_1: (Effect(State.STA4, issues="TRANSPORT CONNECT request"),),
    Action.AE_2: (Effect(State.STA5, sends="A-ASSOCIATE-RQ"),),
    Action.AE_3: (Effect(State.STA6, issues="A-ASSOCIATE confirmation (accept)"),),
    Action.AE_4: (Effect(State.STA1, issues="A-ASSOCIATE confirmation (reject)", closes=True),),
    Action.AE_5: (Effect(State.STA2, issues="TRANSPORT CONNECT response", artim=Artim.START),),
    Action.AE_6: (
        Effect(State.STA3, issues="A-ASSOCIATE indication", artim=Artim.STOP),
        Effect(State.STA13, sends="A-ASSOCIATE-RJ", artim=Artim.START),
    ),
    Action.AE_7: (Effect(State.STA6, sends="A-ASSOCIATE-AC"),),
    Action.AE_8: (Effect(State.STA13, sends="A-ASSOCIATE-RJ", artim=Artim.START),),
    # Data transfer
    Action.DT_1: (Effect(State.STA6, sends="P-DATA-TF"),),
    Action.DT_2: (Effect(State.STA6, issues="P-DATA indication"),),
    # Release
    Action.AR_1: (Effect(State.STA7, sends="A-RELEASE-RQ"),),
    Action.AR_2: (Effect(State.STA8, issues="A-RELEASE indication"),),
    Action.AR_3: (Effect(State.STA1, issues="A-RELEASE confirmation", closes=True),),
    Action.AR_4: (Effect(State.STA13, sends="A-RELEASE-RP", artim=Artim.START),),
    Action.AR_5: (Effect(State.STA1, artim=Artim.STOP),),
    Action.AR_6: (Effect(State.STA7, issues="P-DATA indication"),),
    Action.AR_7: (Effect(State.STA8, sends="P-DATA-TF"),),
    Action.AR_8: (
        Effect(State.STA9, issues="A-RELEASE indication (collision)"),
        Effect(State.STA10, issues="A-RELEASE indication (collision)"),
    ),
    Action.AR_9: (Effect(State.STA11, sends="A-RELEASE-RP"),),
    Action.AR_10: (Effect(State.STA12, issues="A-RELEASE confirmation"),),
    # Abort
    Action.AA_1: (Effect(State.STA13, sends="A-ABORT", abort_source=0, artim=Artim.START),),
    Action.AA_2: (Effect(State.STA1, artim=Artim.STOP, closes=True),),
    Action.AA_3: (Effect(State.STA1, issues="A-ABORT or A-P-ABORT indication", closes=True),),
    Action.AA_4: (Effect(State.STA1, issues="A-P-ABORT indication"),),
    Action.AA_5: (Effect(State.STA1, artim=Artim.STOP),),
    Action.AA_6: (Effect(State.STA13),),
    Action.AA_7: (Effect(State.STA13, sends="A-ABORT", abort_source=2),),
    Action.AA_8: (
        Effect(
            State.STA13, sends="A-ABORT", abort_source=2, issues="A-P-ABORT indication", artim=Artim.START
        ),
    ),
}

DESCRIPTIONS: dict[Action, str] = {
    Action.AE_1: "ask the transport service for a connection",
    Action.AE_2: "send the A-ASSOCIATE-RQ",
    Action.AE_3: "tell the user that the association is accepted",
    Action.AE_4: "tell the user that the association is rejected; close the connection",
    Action.AE_5: "take the connection; start ARTIM",
    Action.AE_6: "stop ARTIM; tell the user of the request, or send an A-ASSOCIATE-RJ and start ARTIM",
    Action.AE_7: "send the A-ASSOCIATE-AC",
    Action.AE_8: "send the A-ASSOCIATE-RJ; start ARTIM",
    Action.DT_1: "send the P-DATA-TF",
    Action.DT_2: "give the data to the user",
    Action.AR_1: "send the A-RELEASE-RQ",
    Action.AR_2: "tell the user that the peer wants to release",
    Action.AR_3: "tell the user that the association is released; close the connection",
    Action.AR_4: "send the A-RELEASE-RP; start ARTIM",
    Action.AR_5: "stop ARTIM: the connection is closed",
    Action.AR_6: "give the data to the user, while the release is under way",
    Action.AR_7: "send the P-DATA-TF, before the release is answered",
    Action.AR_8: "tell the user that both sides want to release",
    Action.AR_9: "send the A-RELEASE-RP, then await the peer's",
    Action.AR_10: "tell the user that the peer has released; its own answer is awaited",
    Action.AA_1: "send an A-ABORT for the user; start ARTIM anew",
    Action.AA_2: "stop ARTIM; close the connection",
    Action.AA_3: "tell the user that the peer has aborted; close the connection",
    Action.AA_4: "tell the user that the connection is lost",
    Action.AA_5: "stop ARTIM: the connection is closed",
    Action.AA_6: "ignore the PDU",
    Action.AA_7: "send an A-ABORT",
    Action.AA_8: "send an A-ABORT for the provider; tell the user; start ARTIM",
}

# PS3.8 Table 9-10, in its own layout. A dot: the event cannot happen in that state.
TABLE_9_10 = """
        Sta1  Sta2  Sta3  Sta4  Sta5  Sta6  Sta7  Sta8  Sta9  Sta10 Sta11 Sta12 Sta13
Evt1    AE-1  .     .     .     .     .     .     .     .     .     .     .     .
Evt2    .     .     .     AE-2  .     .     .     .     .     .     .     .     .
Evt3    .     AA-1  AA-8  .     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt4    .     AA-1  AA-8  .     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt5    AE-5  .     .     .     .     .     .     .     .     .     .     .     .
Evt6    .     AE-6  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
Evt7    .     .     AE-7  .     .     .     .     .     .     .     .     .     .
Evt8    .     .     AE-8  .     .     .     .     .     .     .     .     .     .
Evt9    .     .     .     .     .     DT-1  .     AR-7  .     .     .     .     .
Evt10   .     AA-1  AA-8  .     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt11   .     .     .     .     .     AR-1  .     .     .     .     .     .     .
Evt12   .     AA-1  AA-8  .     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt13   .     AA-1  AA-8  .     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
Evt14   .     .     .     .     .     .     .     AR-4  AR-9  .     .     AR-4  .
Evt15   .     .     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  .
Evt16   .     AA-2  AA-3  .     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
Evt17   .     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
Evt18   .     AA-2  .     .     .     .     .     .     .     .     .     .     AA-2
Evt19   .     AA-1  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""


def _read(table: str) -> dict[tuple[State, Event], tuple[Action, tuple[State, ...]]]:
    heading, *rows = table.strip().splitlines()
    states = [State[name.upper()] for name in heading.split()]
    transitions = {}
    for row in rows:
        name, *cells = row.split()
        for state, cell in zip(states, cells, strict=True):
            if cell != ".":
                action = Action(cell)
                next_states = tuple(effect.next_state for effect in EFFECTS[action])
                transitions[state, Event[name.upper()]] = (action, next_states)
    return transitions


# What happens, by state and event: the action and its possible next states. A missing pair cannot happen.
TRANSITIONS: dict[tuple[State, Event], tuple[Action, tuple[State, ...]]] = _read(TABLE_9_10)
