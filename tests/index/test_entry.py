from __future__ import annotations

from dataclasses import fields

from dicomserver.index.entry import FLAG_INFLATION_CAPPED, FLAG_PIXEL_DATA_SHORT, Instance, Stored


def test_what_is_stored_is_named_as_what_came_in() -> None:
    assert {field.name for field in fields(Stored)} < {field.name for field in fields(Instance)}


def test_flags_can_be_set_together() -> None:
    assert FLAG_PIXEL_DATA_SHORT & FLAG_INFLATION_CAPPED == 0
