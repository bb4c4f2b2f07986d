"""Size and names of files, and what must not stand in any of them."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.tree import ROOT, Source, sources, text_files

LINES = 400
COLUMNS = 120

# Modules without a test file of their own, and why: "room/module": "reason".
UNTESTED: dict[str, str] = {}
# Test files that mirror no module, and why: "room/test_name": "reason".
MIRRORLESS: dict[str, str] = {}
# Folders of tests that mirror no room.
NO_MIRROR = {"interop", "hostile", "crash", "fuzz", "bench", "house"}

LEFT_OPEN = re.compile(r"\b(TO" r"DO|FIX" r"ME|HA" r"CK)\b")
# Cut in two, so that this file does not convict itself.
OF_ONE_MACHINE = re.compile("|".join([
    r"(?<![\w.])/wo" r"rk/", r"/opt/(?:whe" r"els|py" r"pi)", r"\.py" r"env\b", r"/root/\.",
    r"py" r"pi\.org", r"pythonho" r"sted\.org", r"deb\.deb" r"ian\.org", r"npm" r"js\.org",
    r"--(?:extra-)?index" r"-url [^-]",
]), re.IGNORECASE)


def too_large(source: Source) -> list[str]:
    """A file too long, or its lines too wide."""
    lines = source.text.splitlines()
    found = [f"{source.path}: {len(lines)} lines"] if len(lines) > LINES else []
    wide = [(number, len(line)) for number, line in enumerate(lines, 1) if len(line) > COLUMNS]
    return found + [f"{source.path}:{number}: {columns} columns" for number, columns in wide]


def matches(pattern: re.Pattern[str], source: Source) -> list[str]:
    """Each line on which the pattern is found."""
    lines = enumerate(source.text.splitlines(), 1)
    return [f"{source.path}:{number}: {line.strip()}" for number, line in lines if pattern.search(line)]


def without_test(modules: set[str], tests: set[str]) -> list[str]:
    """Modules (`wire/pdu`) that no test file (`wire/test_pdu`) mirrors."""
    return sorted(module for module in modules if _mirror(module) not in tests)


def without_module(modules: set[str], tests: set[str]) -> list[str]:
    """Test files named after no module; `test_pdu_limits` is an aspect of `pdu`."""
    mirrors = {_mirror(module) for module in modules}
    return sorted(test for test in tests
                  if not any(test == mirror or test.startswith(mirror + "_") for mirror in mirrors))


def _mirror(module: str) -> str:
    path = Path(module)
    return str(path.with_name("test_" + path.name))


def modules() -> set[str]:
    """`wire/pdu` and so on: all of ours, but packages' own files and mere declarations."""
    paths = (source.path for source in sources("dicomserver", "ext", suffixes=(".py", ".pyx")))
    return {path.removeprefix("ext/").removeprefix("dicomserver/").rsplit(".", 1)[0]
            for path in paths if not path.endswith("__init__.py")}


def mirrors() -> set[str]:
    """`wire/test_pdu` and so on."""
    paths = (Path(source.path).relative_to("tests").with_suffix("") for source in sources("tests"))
    return {str(path) for path in paths if path.name.startswith("test_") and path.parts[0] not in NO_MIRROR}


def test_convicts_large_files() -> None:
    assert too_large(Source("x.py", "\n" * 401)) == ["x.py: 401 lines"]
    assert too_large(Source("x.py", "a" * 121)) == ["x.py:1: 121 columns"]
    assert too_large(Source("x.py", ("a" * 120 + "\n") * 400)) == []


def test_files_are_small() -> None:
    assert [finding for source in sources(".") for finding in too_large(source)] == []


@pytest.mark.parametrize("text", ["# TO" "DO: later", "x = 1  # FIX" "ME", "(HA" "CK)"])
def test_convicts_what_is_left_open(text: str) -> None:
    assert matches(LEFT_OPEN, Source("x.py", text))


def test_nothing_is_left_open() -> None:
    assert [finding for source in text_files() for finding in matches(LEFT_OPEN, source)] == []


@pytest.mark.parametrize("text", [
    "cd /wo" "rk/main", "--find-links /opt/whe" "els", "https://py" "pi.org/simple",
    "http://deb.deb" "ian.org/debian", "--index" "-url https://x", "/ro" "ot/.cache",
])
def test_convicts_what_holds_on_one_machine_only(text: str) -> None:
    assert matches(OF_ONE_MACHINE, Source("x.txt", text))


def test_nothing_holds_on_one_machine_only() -> None:
    assert [finding for source in text_files() for finding in matches(OF_ONE_MACHINE, source)] == []


def test_convicts_a_module_without_test_and_a_test_without_module() -> None:
    known = {"wire/pdu", "wire/command"}
    assert without_test(known, {"wire/test_pdu"}) == ["wire/command"]
    tests = {"wire/test_pdu", "wire/test_pdu_limits", "wire/test_pdus", "index/test_pdu"}
    assert without_module(known, tests) == ["index/test_pdu", "wire/test_pdus"]


def test_tests_mirror_modules() -> None:
    assert without_test(modules() - set(UNTESTED), mirrors()) == []
    assert without_module(modules(), mirrors() - set(MIRRORLESS)) == []


def test_exceptions_are_still_needed() -> None:
    assert [module for module in UNTESTED if module not in modules() or _mirror(module) in mirrors()] == []
    assert [test for test in MIRRORLESS if test not in mirrors() or not without_module(modules(), {test})] == []


def test_packages_are_found_where_they_belong() -> None:
    """A package without `__init__.py` would not be installed; one in ext/ or packaging/ would hide ours."""
    packages = {path.parent for path in (ROOT / "dicomserver").rglob("*.py")}
    assert [str(package) for package in packages if not (package / "__init__.py").exists()] == []
    assert [str(path) for top in ("ext", "packaging") for path in (ROOT / top).rglob("__init__.p*")] == []
