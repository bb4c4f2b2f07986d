"""What is wrong with a configuration: one line for each problem."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

EXIT_USAGE = 2
EXIT_CONFIGURATION = 78

_LONGEST_VALUE = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """`where` is a key path (`knownDestinations.WS1.port`), a variable, a flag or a place in the file.

    `is_usage`: it was typed on the command line; `is_unavailable`: it is right, but this version has it not.
    """

    where: str
    what: str
    file: str = ""
    is_usage: bool = False
    is_unavailable: bool = False

    def __str__(self) -> str:
        return ": ".join(printable(part) for part in (self.file, self.where, self.what) if part)


class ConfigurationError(Exception):
    """Everything that is wrong, at least one problem; `str()` has one line for each."""

    def __init__(self, problems: list[Problem]):
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems

    @property
    def exit_code(self) -> int:
        """2 if only what was typed is wrong, else 78: also for what is right but not in this version."""
        return EXIT_USAGE if all(problem.is_usage for problem in self.problems) else EXIT_CONFIGURATION


def shown(value: object) -> str:
    """A value as it stands in a message: one line, bounded, control characters escaped."""
    if isinstance(value, (str, bool, int, float)) or value is None:
        text = json.dumps(value)
        return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    return "a value of another kind"


def printable(text: str) -> str:
    """`text` without what could break a line or disturb a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def masked(url: str) -> str:
    """`url` without its password, wherever one may stand, even if the URL is malformed."""
    account, at, rest = url.rpartition("@")
    if at:
        scheme, separator, login = account.partition("://")
        user, colon, _ = (login if separator else account).partition(":")
        account = f"{scheme if separator else ''}{separator}{user}{':***' if colon else ''}"
    return account + at + re.sub(r"(?i)(pass\w*=)[^&]*", r"\1***", rest)
