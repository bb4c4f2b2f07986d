"""The requester's side: associations that we ask for, and what is done on them."""
