"""The state of one association, without any I/O: the caller reports events and does what the action says."""

from __future__ import annotations

from dicomserver.session.states import EFFECTS, TRANSITIONS, Action, Artim, Effect, Event, State


class LocalProtocolError(Exception):
    """The caller reported an event that PS3.8 Table 9-10 leaves blank in that state: a fault of ours.

    Whatever a peer sends has a cell in every state in which there is a connection to it.
    """


def _cells(requestor: bool) -> dict[tuple[State, Event], tuple[Action, Effect, Effect]]:
    """Table 9-10 for one side: the action, its effect, and its effect when the request is not acceptable."""
    cells = {}
    for cell, (action, _) in TRANSITIONS.items():
        first, last = EFFECTS[action][0], EFFECTS[action][-1]
        if action is Action.AR_8:
            first = last = first if requestor else last
        cells[cell] = (action, first, last)
    return cells


_REQUESTOR = _cells(requestor=True)
_ACCEPTOR = _cells(requestor=False)


class StateMachine:
    """PS3.8 9.2 for one association. Not locked: one thread at a time.

    state: where we are. artim_running: whether the ARTIM timer has to run; the caller owns the clock.
    effect: what the last action asks for (PDU, primitive, ARTIM, closing), None before the first event.
    """

    __slots__ = ("state", "artim_running", "effect", "_cells")

    def __init__(self, requestor: bool) -> None:
        self.state = State.STA1
        self.artim_running = False
        self.effect: Effect | None = None
        self._cells = _REQUESTOR if requestor else _ACCEPTOR

    def on(self, event: Event, *, accept: bool = True) -> Action:
        """Moves to the next state and says what to do; `accept` matters to EVT6 in STA2 (AE-6) alone.

        Raises LocalProtocolError, and stays where it is, when the event cannot happen in this state.
        """
        cell = self._cells.get((self.state, event))
        if cell is None:
            raise LocalProtocolError(f"Evt{event:d} cannot happen in Sta{self.state:d}")
        action, effect, refused = cell
        if not accept:
            effect = refused
        self.effect = effect
        self.state = effect.next_state
        if effect.artim is not None:
            self.artim_running = effect.artim is Artim.START
        return action
