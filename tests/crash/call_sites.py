"""Each call by which the program makes something durable; and copies of the program without one of them."""
from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dicomserver

PACKAGE = Path(dicomserver.__file__).parent
EXTENSIONS = PACKAGE.parent / "ext" / "dicomserver"
ROOMS = ("archive", "index", "server")
# What these make durable is a backup, or what was restored from one: nobody was told that it is stored.
OF_BACKUPS = {"archive/backup_folder.py", "archive/copying.py", "archive/manifest.py", "server/backup.py",
              "server/restore.py"}
_CALLED = {"fsync", "fdatasync", "sync", "_sync", "sync_folder", "make_durable", "sync_ancestors"}
_IN_CYTHON = re.compile(r"^(?!.*int fdatasync).*\b(?:fsync|fdatasync)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CallSite:
    """where: the file below the package, and the function; the call's place in it as ast has it."""

    where: str
    file: str
    line: int
    begin: int
    end: int


def call_sites() -> dict[str, CallSite]:
    """All in Python, by where they are; but for those of backups."""
    found: dict[str, CallSite] = {}
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            file = str(path.relative_to(PACKAGE))
            if file in OF_BACKUPS:
                continue
            for function, call in _calls(ast.parse(path.read_text()), ""):
                where = f"{file} {function}: {ast.unparse(call)}"
                while where in found:
                    where += " again"
                found[where] = CallSite(where, file, call.lineno, call.col_offset, call.end_col_offset)
    return found


def in_cython() -> list[str]:
    """The lines in Cython that sync, of those rooms."""
    return [line.strip() for room in ROOMS for path in sorted((EXTENSIONS / room).rglob("*.pyx"))
            for line in _IN_CYTHON.findall(path.read_text())]


def _calls(node: ast.AST, function: str) -> Iterator[tuple[str, ast.Call]]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        function = f"{function}.{node.name}".lstrip(".")
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _CALLED:
            yield function, node
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, function)


def without(site: CallSite, folder: Path) -> dict[str, str]:
    """Puts a copy of the package there that does not make the call; -> the environment in which it is the one."""
    copy = folder / PACKAGE.name
    shutil.copytree(PACKAGE, copy, copy_function=os.symlink, ignore=shutil.ignore_patterns("__pycache__"))
    lines = (PACKAGE / site.file).read_text().splitlines(keepends=True)
    line = lines[site.line - 1].encode()        # ast counts octets
    lines[site.line - 1] = (line[:site.begin] + b"None" + line[site.end:]).decode()
    (copy / site.file).unlink()
    (copy / site.file).write_text("".join(lines))
    return {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}
