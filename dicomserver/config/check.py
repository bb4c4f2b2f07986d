"""Keys and values against the schema: a `Configuration`, or every problem in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from dicomserver.config.problems import Problem, masked, shown
from dicomserver.config.schema import KEYS, Configuration, Destination, allowed

_DESTINATION_KEYS = [field.alias or name for name, field in Destination.model_fields.items()]


def problems_in(content: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with the keys and values of one source, in the order of the schema."""
    try:
        Configuration.model_validate(dict(content))
    except ValidationError as error:
        return [_problem(detail) for detail in error.errors(include_url=False)]
    return []


def _problem(detail: Any) -> Problem:
    path, kind, value = detail["loc"], detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return Problem(_dotted(path), f"unknown key; the nearest known one is {_nearest_key(path)}")
    if kind == "missing":
        return Problem(_dotted(path), "is missing")
    if path[0] == "databaseURL" and isinstance(value, str):
        value = masked(value)
    if kind == "unavailable":
        return Problem(_dotted(path), f"{shown(value)} is not allowed: {detail['msg']}", is_unavailable=True)
    if path[-1] == "[key]":
        mapping = _dotted(path[:-2])
        return Problem(mapping, f"the name {shown(value)} is not allowed; allowed is {detail['msg']}")
    what = f"{shown(value)} is not allowed; allowed is {_allowed(detail)}{_quotes(detail)}"
    return Problem(_dotted(path), what)


def _allowed(detail: Any) -> str:
    if detail["type"] == "not_allowed":
        return detail["msg"]
    if len(detail["loc"]) == 1:
        return allowed(KEYS[detail["loc"][0]])
    return f"a mapping with {', '.join(_DESTINATION_KEYS)}"


def _quotes(detail: Any) -> str:
    """A hint where only quotes make the difference between a number and a text."""
    value, message = detail["input"], detail["msg"]
    if isinstance(value, str) and "number" in message and len(value) < 18 and value.strip().isdecimal():
        return ", without quotes"
    if isinstance(value, str) and message == "true or false" and value.lower() in {"true", "false"}:
        return ", without quotes"
    if isinstance(value, (bool, int, float)) and detail["type"] == "not_allowed" and _is_text(message):
        return ", in quotes"
    return ""


def _is_text(message: str) -> bool:
    return "number" not in message and message != "true or false"


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(str(step) for step in path)


def _nearest_key(path: tuple[Any, ...]) -> str:
    return nearest(str(path[-1]), KEYS if len(path) == 1 else _DESTINATION_KEYS)


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of `known` that looks most like `name`, whatever the case and the separators."""
    plain = {_plain(key): key for key in known}
    return plain[difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0)[0]]


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
