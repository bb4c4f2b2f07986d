"""The text of a configuration file to keys and values: JSON or YAML, told apart by content."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from dicomserver.config.problems import Problem, shown

_KEYS_WANTED = "a configuration is keys and values, such as port: 11112"
_TOO_DEEP = "nested too deeply"
_HINTS = {"mapping values are not allowed here": "a colon where none is allowed: write such a text in quotes",
          "but found another document": "a second document begins: a configuration is one"}
_JSON_BEGINS = re.compile(r'\s*\{\s*"')


class ContentError(Exception):
    """The text is neither a JSON object nor a YAML mapping, or says a key twice."""

    def __init__(self, problems: list[Problem]):
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def parse(text: str) -> dict[str, Any]:
    """The keys and values of `text`; an empty text, or one of comments only, has none.

    A text that begins like a JSON object (`{"`) is JSON; everything else is YAML (which, so that
    nothing surprises, follows YAML 1.2: `no`, `0123` and `12:30` are text).
    """
    text = text.removeprefix("\ufeff")
    return _json(text) if _JSON_BEGINS.match(text) else _yaml(text)


def _error(where: str, what: str) -> ContentError:
    return ContentError([Problem(where, what)])


def _json(text: str) -> dict[str, Any]:
    twice: list[Problem] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys: dict[str, Any] = {}
        for key, value in pairs:
            if key in keys:
                twice.append(Problem(shown(key), "is there twice"))
            keys[key] = value
        return keys

    try:
        content = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise _error(f"line {error.lineno}, column {error.colno}", f"not valid JSON: {error.msg}") from None
    except RecursionError:
        raise _error("", _TOO_DEEP) from None
    except ValueError:
        raise _error("", "a number has too many digits") from None
    if twice:
        raise ContentError(twice)
    return content


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema over PyYAML's YAML 1.1; reports keys that are no text or are there twice."""

    yaml_implicit_resolvers: dict = {}
    yaml_constructors = {tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (
        "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map", None)}

    def __init__(self, text: str):
        super().__init__(text)
        self.problems: list[Problem] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise ConstructorError(None, None, "expected keys and values", node.start_mark)
        keys: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                self.problems.append(Problem(place, f"the key {shown(key)} is no text: write it in quotes"))
                continue
            if key in keys:
                self.problems.append(Problem(place, f"{shown(key)} is there twice"))
            keys[key] = self.construct_object(value_node, deep=deep)
        return keys


def _plain(tag: str, pattern: str, first: list[str], value_of: Callable[[str], object]) -> None:
    """Unquoted text that fits `pattern` is a `tag`."""
    tag = f"tag:yaml.org,2002:{tag}"
    _Loader.add_implicit_resolver(tag, re.compile(rf"(?:{pattern})\Z"), first)
    _Loader.add_constructor(tag, lambda loader, node: value_of(loader.construct_scalar(node)))


_plain("null", "~|null|Null|NULL|", [*"~nN", ""], lambda text: None)
_plain("bool", "true|True|TRUE|false|False|FALSE", [*"tTfF"], lambda text: text.lower() == "true")
_plain("int", "[-+]?(?:0|[1-9][0-9]{0,17})", [*"-+0123456789"], int)
_plain("float", r"[-+]?[0-9]{1,18}\.[0-9]{1,18}", [*"-+0123456789"], float)


def _yaml(text: str) -> dict[str, Any]:
    try:
        loader = _Loader(text)
        content = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or "not valid YAML"
        raise _error(_place(mark) if mark else "", _HINTS.get(what, what)) from None
    except yaml.YAMLError:
        raise _error("", "neither JSON nor YAML: it has characters that no text has") from None
    except RecursionError:
        raise _error("", _TOO_DEEP) from None
    except ValueError:
        raise _error("", "a value does not fit its tag") from None
    if loader.problems:
        raise ContentError(loader.problems)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _error("", _KEYS_WANTED)
    return content


def _place(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
