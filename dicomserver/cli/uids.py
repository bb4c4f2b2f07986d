"""UIDs that are typed."""

from __future__ import annotations

import argparse

from dicomserver.cli import arguments
from dicomserver.standard.uids import is_valid_uid

LEVELS = {"study": "Study Instance UID", "series": "Series Instance UID", "instance": "SOP Instance UID"}


def uid(text: str) -> str:
    """One UID."""
    if not is_valid_uid(text):
        raise ValueError("a UID: digits and single dots, at most 64 characters")
    return text


def transfer_syntax(text: str) -> str:
    """The UID of a transfer syntax that the standard names."""
    from dicomserver.standard.transfer_syntaxes import transfer_syntaxes

    if text not in transfer_syntaxes():
        raise ValueError("the UID of a transfer syntax, such as 1.2.840.10008.1.2.1")
    return text


def add_levels(made: argparse.ArgumentParser, *, required: bool) -> argparse._MutuallyExclusiveGroup:
    """The options for one study, series or instance; what is added to the result excludes them."""
    which = made.add_mutually_exclusive_group(required=required)
    for level, name in LEVELS.items():
        which.add_argument(f"--{level}", type=arguments.checked(uid), metavar="UID", help=f"the {name}")
    return which


def level_of(options: argparse.Namespace) -> dict[str, str]:
    """What was given of these: the level and its UID, or nothing."""
    return {level: getattr(options, level) for level in LEVELS if getattr(options, level)}
