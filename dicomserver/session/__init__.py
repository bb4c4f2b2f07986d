"""One association: state machine, negotiation, messages."""
