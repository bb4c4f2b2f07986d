"""Each floor imports only lower ones, rooms of one floor do not import each other (docs/ARCHITECTURE.md)."""
from __future__ import annotations

import ast
import re

import pytest

from tests.house.tree import Source, sources

FLOORS = {
    "standard": 0,
    "wire": 1,
    "session": 2, "archive": 2, "index": 2, "transcoding": 2,
    "services": 3, "scu": 3,
    "server": 4, "web": 4,
    "cli": 5, "config": 5,
}
# The one schema is read by floors 4 and 5, so it must not import them itself.
READS_CONFIG = {"server", "web", "cli"}
CONFIG_IMPORTS_BELOW = 4

CYTHON_IMPORT = re.compile(r"""^[ \t]*from[ \t]+([\w.]+)[ \t]+c?import[ \t]*(?:\(([^)]*)\)?|([^#\n]*))
                               |^[ \t]*c?import[ \t]+([\w., \t]+)""", re.MULTILINE | re.VERBOSE)


def room(module: str) -> str | None:
    """`wire` for dicomserver.wire.pdu; None for what is not ours, and for dicomserver itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == "dicomserver" and len(parts) > 1 and parts[1] in FLOORS else None


def imported(source: Source) -> set[str]:
    """The full names of all that a file imports or cimports, inside functions too."""
    package = source.module.split(".")
    if not source.path.endswith("__init__.py"):
        package = package[:-1]
    if source.suffix == ".py":
        pairs = _python_imports(source)
    else:
        matches = CYTHON_IMPORT.finditer(source.text)
        pairs = [(match[1] or "", match[2] or match[3] or match[4]) for match in matches]
    found = set()
    for origin, names in pairs:
        dots = len(origin) - len(origin.lstrip("."))
        prefix = package[:len(package) - dots + 1] if dots else []
        prefix += [part for part in origin.split(".") if part]
        named = (name.split(" as ")[0].strip() for name in names.split(","))
        found |= {".".join([*prefix, name]) for name in named if name}
    return found


def _python_imports(source: Source) -> list[tuple[str, str]]:
    pairs = []
    for node in ast.walk(source.syntax_tree):
        if isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            pairs.append((origin, ",".join(alias.name for alias in node.names)))
        elif isinstance(node, ast.Import):
            pairs.append(("", ",".join(alias.name for alias in node.names)))
    return pairs


def findings(source: Source) -> list[str]:
    """Imports that go up, or across."""
    own = room(source.module)
    return [f"{source.path}: {own} must not import {name}"
            for name in sorted(imported(source)) if own and not _may_import(own, room(name))]


def _may_import(own: str, other: str | None) -> bool:
    if other is None or other == own:
        return True
    if other == "config":
        return own in READS_CONFIG
    if own == "config":
        return FLOORS[other] < CONFIG_IMPORTS_BELOW
    return FLOORS[other] < FLOORS[own]


@pytest.mark.parametrize(("path", "text"), [
    ("dicomserver/wire/pdus.py", "import dicomserver.session.machine"),
    ("dicomserver/wire/pdus.py", "def late():\n    from dicomserver.server import listener"),
    ("dicomserver/archive/paths.py", "from ..index.entry import Instance"),
    ("dicomserver/archive/paths.py", "from dicomserver import standard, index"),
    ("dicomserver/archive/__init__.py", "from ..services import store"),
    ("dicomserver/services/store.py", "from dicomserver.config.schema import Configuration"),
    ("dicomserver/config/schema.py", "from dicomserver.server import listener"),
    ("ext/dicomserver/wire/pdu.pyx", "from dicomserver.session.transport cimport SocketInlet"),
    ("ext/dicomserver/archive/writer.pxd", "cimport dicomserver.session.transport as t"),
    ("ext/dicomserver/archive/writer.pyx", "from dicomserver cimport index"),
    ("ext/dicomserver/archive/writer.pyx", "    from ..server import (\n listener)"),
])
def test_convicts_an_import_that_goes_up_or_across(path: str, text: str) -> None:
    assert len(findings(Source(path, text))) == 1


@pytest.mark.parametrize(("path", "text"), [
    ("dicomserver/services/store.py", "import os, dicomserver\nfrom ..wire import pdu\nfrom .echo import x"),
    ("dicomserver/cli/main.py", "from dicomserver.config import schema\nfrom dicomserver import __version__"),
    ("ext/dicomserver/archive/writer.pyx", "from ..wire.inlet cimport Inlet\nfrom libc.stdlib cimport free"),
])
def test_lets_pass_what_goes_down(path: str, text: str) -> None:
    assert findings(Source(path, text)) == []


def test_every_floor_imports_only_lower_ones() -> None:
    assert [finding for source in sources("dicomserver", "ext") for finding in findings(source)] == []


def test_every_package_has_its_floor() -> None:
    rooms = {source.path.split("/")[1] for source in sources("dicomserver") if source.path.count("/") > 1}
    assert rooms - set(FLOORS) == set()
