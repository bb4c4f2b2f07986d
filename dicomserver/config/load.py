"""Where the configuration comes from: command line > environment > file > defaults.

Each source is checked by itself, so that a file that `check-config` finds good is good for `start`, whatever
the environment says; then they are laid over one another.

The environment: `DICOM_SERVER_` and the key in upper case with underscores (`aeTitle` is
DICOM_SERVER_AE_TITLE, `maxPDUSize` DICOM_SERVER_MAX_PDU_SIZE); lists are separated by commas, a mapping is
JSON, an empty variable counts as absent. DICOM_SERVER_CONFIG names the file if `--config` does not.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_origin

from dicomserver.config import values
from dicomserver.config.check import nearest, problems_in
from dicomserver.config.content import ContentError, parse
from dicomserver.config.problems import ConfigurationError, Problem, masked, shown
from dicomserver.config.schema import Configuration, key_of

PREFIX = "DICOM_SERVER_"
CONFIG_VARIABLE = PREFIX + "CONFIG"
INDEX_FILE = "dicom-server.db"
LONGEST_FILE = 1 << 20

VARIABLES = {PREFIX + attribute.upper(): attribute for attribute in Configuration.model_fields}
_SWITCHES = {"true": True, "yes": True, "on": True, "1": True,
             "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of the command line: the attribute it sets, how it was spelled, what stood after it."""

    attribute: str
    name: str
    text: str | bool


def load(config_file: str | None = None, flags: Sequence[Flag] = (),
         environment: Mapping[str, str] | None = None, database: str | None = None) -> Configuration:
    """The whole configuration: `data_directory` is absolute and `database_url` is never None.

    `database` is what `--database` says: sqlite, postgres or none. Raises ConfigurationError with every
    problem of every source. Nothing is created, nothing but the file is opened.
    """
    environment = environment or {}
    problems: list[Problem] = []
    file = config_file or environment.get(CONFIG_VARIABLE)
    content = _keeping(problems, _read_file, file) if file else {}
    variables = _keeping(problems, _read_environment, environment)
    typed = _keeping(problems, _read_flags, flags)
    problems += _contradictions(database, flags)
    if problems:
        raise ConfigurationError(problems)
    chosen = _resolved(Configuration.model_validate({**content, **variables, **typed}), database)
    if problems := _needs_postgres(chosen.node, chosen.database_url):
        raise ConfigurationError(problems)
    return chosen


def check_file(file: str) -> None:
    """Raises ConfigurationError with everything that is wrong with a configuration file."""
    content = _read_file(file)
    # Where it is silent the environment or the command line may say what the database is.
    if (url := content.get("databaseURL")) and (problems := _needs_postgres(content.get("node", 0), url)):
        raise ConfigurationError([replace(problem, file=file) for problem in problems])


def _keeping(problems: list[Problem], read: Any, source: Any) -> dict[str, Any]:
    """What `read` makes of `source`; its problems are added to `problems`."""
    try:
        return read(source)
    except ConfigurationError as error:
        problems += error.problems
        return {}


def _read_file(file: str) -> dict[str, Any]:
    try:
        content = parse(_text_of(file))
        problems = problems_in(content)
    except ContentError as error:
        problems = error.problems
    if problems:
        raise ConfigurationError([replace(problem, file=file) for problem in problems])
    return content


def _text_of(file: str) -> str:
    try:
        with open(file, "rb", opener=_without_waiting) as stream:
            data = stream.read(LONGEST_FILE + 1)
            if not data and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
                raise ContentError([Problem("", "a pipe into which nobody has written")])
        if len(data) > LONGEST_FILE:
            raise ContentError([Problem("", f"longer than {LONGEST_FILE} bytes: that is no configuration")])
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ContentError([Problem("", f"not UTF-8 text (byte {error.start})")]) from None
    except (OSError, ValueError) as error:
        raise ContentError([Problem("", f"cannot be read: {getattr(error, 'strerror', error)}")]) from None


def _without_waiting(file: str, flags: int) -> int:
    """Opening a pipe waits for somebody who writes into it, for ever maybe; reading waits only where there is one."""
    fd = os.open(file, flags | os.O_NONBLOCK)
    os.set_blocking(fd, True)
    return fd


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    problems: list[Problem] = []
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or not text or variable == CONFIG_VARIABLE:
            continue
        if variable not in VARIABLES:
            known = nearest(variable, VARIABLES)
            problems.append(Problem(variable, f"unknown variable; the nearest known one is {known}"))
            continue
        attribute = VARIABLES[variable]
        value = _value_of(attribute, text)
        content[key_of(attribute)] = value
        problems += _renamed(problems_in({key_of(attribute): value}), attribute, variable)
    if problems:
        raise ConfigurationError(problems)
    return content


def _read_flags(flags: Sequence[Flag]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    problems: list[Problem] = []
    for flag in flags:
        key = key_of(flag.attribute)
        content[key] = _value_of(flag.attribute, flag.text)
        problems += _renamed(problems_in({key: content[key]}), flag.attribute, flag.name, is_usage=True)
    if problems:
        raise ConfigurationError(problems)
    return content


def _renamed(problems: list[Problem], attribute: str, name: str, is_usage: bool = False) -> list[Problem]:
    """The problems of one key, told by the name under which its source knows it."""
    return [replace(problem, where=name + problem.where.removeprefix(key_of(attribute)),
                    is_usage=is_usage and not problem.is_unavailable) for problem in problems]


def _value_of(attribute: str, text: str | bool) -> object:
    """The value that was typed, in its option's type; what does not fit it stays text and fails the check."""
    kind = Configuration.model_fields[attribute].annotation
    if not isinstance(text, str):
        return text
    if kind is bool:
        return _SWITCHES.get(text.lower(), text)
    if get_origin(kind) is list:
        return [title for title in (part.strip() for part in text.split(",")) if title]
    try:
        if kind is int and text.isascii() and text.isdecimal():
            return int(text)
        if kind is float and text.isascii():
            return float(text)
        if get_origin(kind) is dict:
            return json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text


def _contradictions(database: str | None, flags: Sequence[Flag]) -> list[Problem]:
    """What is wrong with `--database` beside the `--database-url` of the same command line."""
    url = next((flag.text for flag in flags if flag.attribute == "database_url"), None)
    if database is None or not isinstance(url, str) or database == values.database_of(url):
        return []
    return [Problem("--database", f"{database} contradicts --database-url {shown(masked(url))}", is_usage=True)]


def _needs_postgres(node: int, url: str) -> list[Problem]:
    if not node or values.is_postgres(url):
        return []
    return [Problem("node", f"{node} is one of several servers, which need a databaseURL of PostgreSQL")]


def _resolved(chosen: Configuration, database: str | None) -> Configuration:
    directory = Path(chosen.data_directory).absolute()
    url = chosen.database_url
    # Here a URL of another engine is the file's or the environment's: the command line is stronger.
    if url is None or database not in (None, values.database_of(url)):
        url = {"none": values.IN_MEMORY, "postgres": values.POSTGRES}.get(
            database, values.sqlite_url(directory / INDEX_FILE))
    return chosen.model_copy(update={"data_directory": str(directory), "database_url": url})
