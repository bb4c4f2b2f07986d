"""What our code must not do, and the docstrings that it must have."""
from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest

from tests.house.test_floors import imported
from tests.house.tree import Source, definitions, has_module_docstring, sources

# By the names of requirements/run.in as they are imported, and what Cython itself knows.
THIRD_PARTY = {
    "apsw", "doublemetaphone", "pydantic", "pydantic_core", "pydicom", "psycopg", "psycopg_pool", "yaml", "tqdm"}
CYTHON = {"cython", "cpython", "libc", "posix"}

# It vanishes under -O. What comes from outside is checked with errors, what comes from inside by tests.
ASSERT = re.compile(r"^[ \t]*assert\b", re.MULTILINE)
# `except:` catches even the request to stop; `except Exception: pass` hides what went wrong.
SWALLOW = re.compile(r"""
    ^[ \t]* except
    (?: [ \t]*: | [ \t]+ (?:Base)?Exception\b [^:\n]* : (?:\s | [#][^\n]*\n)* (?:pass|continue)\b )
    """, re.MULTILINE | re.VERBOSE)
# These of pydicom ask the network for what the package does not bring along; tests.shipped does not.
DOWNLOAD = re.compile(r"\bget_testdata_" r"files?\b")
# A manager manages, a helper helps: such names say nothing.
VAGUE_CLASS = re.compile(r"^Base[A-Z]|Base$|Manager|Helper|Utils?$|^Utils?[A-Z]")
VAGUE_WORDS = {"base", "manager", "managers", "helper", "helpers", "util", "utils"}


def lines_with(pattern: re.Pattern[str], source: Source) -> list[str]:
    """Where the pattern matches."""
    starts = (match.start() for match in pattern.finditer(source.text))
    return [f"{source.path}:{source.line_at(start)}" for start in starts]


def asserts(source: Source) -> list[str]:
    """Where `assert` stands."""
    return lines_with(ASSERT, source)


def swallowed(source: Source) -> list[str]:
    """Where an exception may vanish."""
    return lines_with(SWALLOW, source)


def downloads(source: Source) -> list[str]:
    """Where the network may be asked."""
    return lines_with(DOWNLOAD, source)


def vague_names(source: Source) -> list[str]:
    """Files, classes and functions whose names say nothing."""
    words = source.module.rsplit(".", 1)[-1].split("_")
    found = [source.path] if VAGUE_WORDS & {words[0], words[-1]} else []
    for definition in definitions(source):
        name = definition.name.strip("_")
        words = name.split("_")
        if VAGUE_CLASS.search(name) or VAGUE_WORDS & {words[0], words[-1]}:
            found.append(f"{source.path}:{definition.line} {definition.name}")
    return found


def undocumented(source: Source) -> list[str]:
    """Modules, public classes and functions without a docstring; those of a `.pxd` stand in its `.pyx`."""
    found = [] if has_module_docstring(source) else [source.path]
    if source.suffix == ".pxd":
        return found
    return found + [f"{source.path}:{definition.line} {definition.name}" for definition in definitions(source)
                    if not definition.name.startswith("_") and not definition.docstring]


def foreign_imports(source: Source) -> list[str]:
    """What is neither Python's, nor ours, nor in requirements/run.in: test oracles above all."""
    allowed = {*sys.stdlib_module_names, *THIRD_PARTY, "dicomserver"}
    if source.suffix != ".py":
        allowed |= CYTHON
    names = (name for name in sorted(imported(source)) if name.split(".")[0] not in allowed)
    return [f"{source.path} {name}" for name in names]


@pytest.mark.parametrize("lint", [asserts, swallowed, vague_names, undocumented, foreign_imports])
def test_our_code(lint: Callable[[Source], list[str]]) -> None:
    """The house itself; the tests below show that each lint convicts."""
    assert [finding for source in sources("dicomserver", "ext") for finding in lint(source)] == []


def test_tests_need_no_network() -> None:
    assert downloads(Source("tests/x.py", "x\nfrom pydicom.data import get_testdata_" + "files")) == ["tests/x.py:2"]
    assert [finding for source in sources(".") for finding in downloads(source)] == []


PYTHON, CYTHON_FILE = "dicomserver/wire/x.py", "ext/dicomserver/wire/x.pyx"
both = pytest.mark.parametrize("path", [PYTHON, CYTHON_FILE])


@both
def test_convicts_assert(path: str) -> None:
    assert asserts(Source(path, "def f(x):\n    assert x, 'said the peer'")) == [f"{path}:2"]
    assert asserts(Source(path, "def f(asserted):\n    raise AssertionError")) == []


@both
@pytest.mark.parametrize("handler", [
    "except:\n        raise",
    "except Exception: pass",
    "except Exception:\n        # never mind\n        pass",
    "except BaseException as e:\n        continue",
])
def test_convicts_swallowed_exceptions(path: str, handler: str) -> None:
    assert swallowed(Source(path, f"while 1:\n    try:\n        f()\n    {handler}")) == [f"{path}:4"]


@both
def test_lets_pass_handled_exceptions(path: str) -> None:
    text = "try:\n    f()\nexcept FileNotFoundError:\n    pass\nexcept Exception:\n    # the next pass\n    passed()\n"
    assert swallowed(Source(path, text)) == []


@both
@pytest.mark.parametrize("text", [
    "class SlotManager:\n    pass", "class BaseInlet:\n    pass", "def read_utils():\n    pass",
    "class _PathHelper:\n    pass",
])
def test_convicts_vague_names(path: str, text: str) -> None:
    assert len(vague_names(Source(path, text))) == 1


def test_convicts_vague_files_but_not_databases() -> None:
    assert vague_names(Source("dicomserver/wire/utils.py", "")) == ["dicomserver/wire/utils.py"]
    text = "class Database: pass\ndef baseline(): pass"
    assert vague_names(Source("dicomserver/index/database.py", text)) == []


def test_convicts_missing_docstrings() -> None:
    text = "import os\nclass A:\n    x = 1\ndef f():\n    '''Said.'''\ndef _g(): pass"
    assert undocumented(Source(PYTHON, text)) == [PYTHON, f"{PYTHON}:2 A"]


def test_convicts_missing_docstrings_in_cython() -> None:
    text = '''# cython: binding=True
"""A module."""
cdef class A(B):
    """Said."""
    cdef int x
cdef int hidden() except -1:
    pass
def f(int x,
      y=None):
    """Said."""
cpdef int g(x):
    return 1
cdef class H:
    cdef int x
'''
    assert undocumented(Source(CYTHON_FILE, text)) == [f"{CYTHON_FILE}:11 g", f"{CYTHON_FILE}:13 H"]


@both
@pytest.mark.parametrize("text", [
    "import pynetdicom", "def f():\n    from pynetdicom.sop_class import x", "import os, xxhash",
    "import numpy as np",
])
def test_convicts_foreign_imports(path: str, text: str) -> None:
    assert len(foreign_imports(Source(path, text))) == 1
