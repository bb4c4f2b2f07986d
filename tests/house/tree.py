"""The files of this repository, as the tests of the house look at them."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MADE = {".git", ".venv", "build", "__pycache__", ".pytest_cache", ".hypothesis", "dicom-data", ".build.lock"}
MADE_SUFFIXES = {".so", ".pyc", ".egg-info"}


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its path below the top folder and its text."""

    path: str
    text: str

    @property
    def suffix(self) -> str:
        """`.py`, `.pyx`, …"""
        return Path(self.path).suffix

    def line_at(self, offset: int) -> int:
        """The number of the line that has the character at an offset, counted from 1."""
        return self.text.count("\n", 0, offset) + 1

    @property
    def syntax_tree(self) -> ast.Module:
        """Of a `.py` file."""
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        """The name that it is imported by: `dicomserver.wire.pdu`, for a package without `__init__`."""
        parts = list(Path(self.path).with_suffix("").parts)
        if parts[0] == "ext":
            del parts[0]
        if parts[-1] == "__init__":
            del parts[-1]
        return ".".join(parts)


def sources(*folders: str, suffixes: tuple[str, ...] = (".py", ".pyx", ".pxd")) -> list[Source]:
    """The files below the folders ("." for all), without what building and testing make."""
    paths = sorted({path for folder in folders for path in _walk(ROOT / folder) if path.suffix in suffixes})
    return [Source(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in paths]


def text_files() -> list[Source]:
    """Every file that is text, whatever its suffix."""
    found = []
    for path in sorted(_walk(ROOT)):
        content = path.read_bytes()
        if b"\0" not in content:
            found.append(Source(str(path.relative_to(ROOT)), content.decode("utf-8", "replace")))
    return found


def _walk(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name in MADE or path.suffix in MADE_SUFFIXES:
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.is_file():
            yield path


@dataclass(frozen=True, slots=True)
class Definition:
    """A class or function at the top level of a module."""

    name: str
    line: int
    docstring: bool


def definitions(source: Source) -> list[Definition]:
    """Classes and functions at the top level; for Cython those that Python can see."""
    if source.suffix == ".py":
        kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        return [Definition(node.name, node.lineno, ast.get_docstring(node) is not None)
                for node in source.syntax_tree.body if isinstance(node, kinds)]
    # A signature may go over several lines; it ends with the first colon at the end of a line.
    begin = r"^(?:(?:cdef )?class|(?:cpdef [\w ]*|def)\b) *(\w+)\b[:(]"
    pattern = re.compile(begin + r"(?:[^\n]*\n)*?(?<=:\n)\s*(.*)", re.MULTILINE)
    return [Definition(match[1], source.line_at(match.start()), match[2].lstrip("rR").startswith('"""'))
            for match in pattern.finditer(source.text)]


def has_module_docstring(source: Source) -> bool:
    """Does the file begin with a docstring? Comments, such as Cython's directives, may stand before it."""
    if source.suffix == ".py":
        return ast.get_docstring(source.syntax_tree) is not None
    return re.match(r'(?:\s*#[^\n]*\n)*\s*[rR]?"""', source.text) is not None
