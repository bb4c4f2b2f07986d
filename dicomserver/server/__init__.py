"""Listener, association threads, limits, life cycle, mover, recovery."""
