"""What the documents name exists, and what exists is named in them."""
from __future__ import annotations

import re

import pytest

from tests.house.tree import ROOT, Source, sources

TARGET = re.compile(r"^([a-z]+):.*## ", re.MULTILINE)
NAMED_TARGET = re.compile(r"(?:`|^ {4}|&& )make ([a-z]+)", re.MULTILINE)
COMMAND = re.compile(r"(?:`|^ {4}(?:\.venv/bin/)?)dicom-server (?!start)([a-z][a-z-]*)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def documents() -> list[Source]:
    """Every Markdown file."""
    return sources(".", suffixes=(".md",))


def text_of(*names: str) -> str:
    return "\n".join((ROOT / name).read_text() for name in names)


def targets(makefile: str) -> set[str]:
    """The targets that `make help` lists."""
    return set(TARGET.findall(makefile))


def broken_links(document: Source) -> list[str]:
    """Relative links that lead nowhere."""
    folder = (ROOT / document.path).parent
    links = LINK.findall(document.text)
    return [f"{document.path}: {link}" for link in links if not (folder / link).exists()]


def test_reads_makefiles() -> None:
    assert targets("help:  ## this list\nbuild: x ## y\n.venv/x: z\nhidden:\n") == {"help", "build"}
    text = "`make start`, cd x && make test\n    make fuzz\nthey make noise"
    assert NAMED_TARGET.findall(text) == ["start", "test", "fuzz"]


def test_every_target_is_documented() -> None:
    named = set(NAMED_TARGET.findall(text_of("README.md", "CONTRIBUTING.md")))
    assert targets(text_of("Makefile")) - {"help"} == named


def test_documents_name_only_targets_that_exist() -> None:
    named = {name for document in documents() for name in NAMED_TARGET.findall(document.text)}
    assert named - targets(text_of("Makefile")) == set()


def test_convicts_broken_links() -> None:
    text = "[a](README.md) [b](nowhere.md) [c](https://x) [d](README.md#e)"
    assert broken_links(Source("README.md", text)) == ["README.md: nowhere.md"]


@pytest.mark.parametrize("document", documents(), ids=lambda document: document.path)
def test_links_lead_somewhere(document: Source) -> None:
    assert broken_links(document) == []


def test_the_architecture_shows_every_room() -> None:
    drawn = set(re.findall(r"^ {4}(?:floor \d)? +([a-z]+) ", text_of("docs/ARCHITECTURE.md"), re.MULTILINE))
    rooms = {path.parent.name for path in ROOT.glob("dicomserver/*/__init__.py")}
    assert rooms - drawn == set()


def test_the_architecture_names_files_that_exist() -> None:
    text = text_of("docs/ARCHITECTURE.md")
    named = re.findall(r"`((?:dicomserver/)?(?:session|wire|archive|server|services)/\w+\.pyx?)`", text)
    folders = ("", "dicomserver", "ext/dicomserver")
    assert len(named) >= 6
    assert [name for name in named if not any((ROOT / folder / name).exists() for folder in folders)] == []


def test_documented_options_exist() -> None:
    """Every `likeThis` in the documents is a key of the shipped configuration."""
    keys = set(re.findall(r"^#(\w+):", text_of("conf/dicom-server.yaml"), re.MULTILINE))
    named = {name for document in documents() if document.path.startswith("docs/")
             for name in re.findall(r"`([a-z]+(?:[A-Z]\w+)+)`", document.text)}
    assert named - keys - {"likeThis"} == set()


def test_documented_commands_exist() -> None:
    from dicomserver.cli.main import COMMANDS
    named = {name for document in documents() for name in COMMAND.findall(document.text)}
    assert named == set(COMMANDS) - {"start"}
