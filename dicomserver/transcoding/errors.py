"""What a conversion says no with."""
from __future__ import annotations


class ConversionFailed(Exception):
    """A dataset cannot be had in another transfer syntax without loss. The text says why, without patient data."""
