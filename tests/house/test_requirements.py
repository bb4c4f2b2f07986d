"""What is installed is locked by hash, is what the project says it needs, and may be shipped."""
from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution

import pytest

from tests.house.tree import ROOT

PARTS = ("build", "run", "test")


def wanted(part: str) -> set[str]:
    """The requirements of an `.in` file."""
    lines = (ROOT / "requirements" / f"{part}.in").read_text().splitlines()
    return {line for line in lines if line and line[0] not in "#-"}


def name(requirement: str) -> str:
    """Of `pydantic>=2.10,<3`: pydantic."""
    return re.match(r"[\w.-]+", requirement)[0].lower()


def locked(text: str) -> dict[str, list[str]]:
    """Name and version (`apsw==3.50`) to its hashes."""
    entries = re.findall(r"^([\w.-]+==\S+)((?:[ \\\n]+--hash=sha256:[0-9a-f]{64})*)", text, re.MULTILINE)
    return {entry: hashes.split()[1::2] for entry, hashes in entries}


def lock_file(part: str) -> dict[str, list[str]]:
    return locked((ROOT / "requirements" / f"{part}.txt").read_text())


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def may_not_be_shipped(licence: str) -> bool:
    """Licences that would bind the whole server; the lesser GPL does not."""
    lesser_removed = licence.replace("LGPL", "").replace("Lesser General Public License", "")
    return "GPL" in lesser_removed or "General Public License" in lesser_removed


def licence_of(package: str) -> str:
    """All that a distribution says of its licence."""
    metadata = distribution(package).metadata
    classifiers = [line for line in metadata.get_all("Classifier", []) if line.startswith("License")]
    begin = (metadata.get("License") or "")[:100]     # some put the whole text there
    return " ".join([metadata.get("License-Expression") or "", begin, *classifiers])


def test_reads_locks() -> None:
    one, two = "a" * 64, "b" * 64
    text = f"# made\n\napsw==3.50 \\\n    --hash=sha256:{one} \\\n    --hash=sha256:{two}\ntqdm==4\n"
    assert {key: len(hashes) for key, hashes in locked(text).items()} == {"apsw==3.50": 2, "tqdm==4": 0}


@pytest.mark.parametrize("part", PARTS)
def test_every_requirement_is_locked_by_hash(part: str) -> None:
    entries = lock_file(part)
    assert {name(requirement) for requirement in wanted(part)} <= {entry.split("==")[0] for entry in entries}
    assert [entry for entry, hashes in entries.items() if not hashes] == []


@pytest.mark.parametrize("part", PARTS)
def test_locks_agree(part: str) -> None:
    versions = dict(entry.split("==") for other in PARTS for entry in lock_file(other))
    assert {entry for entry in lock_file(part)} <= {"==".join(pair) for pair in versions.items()}


def test_project_and_requirements_agree() -> None:
    assert set(project()["project"]["dependencies"]) == wanted("run")
    assert {requirement.lower() for requirement in project()["build-system"]["requires"]} \
        <= {requirement.lower() for requirement in wanted("build")}


@pytest.mark.parametrize(("licence", "convicted"), [
    ("GPL-3.0-only", True), ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
    ("AGPL-3.0", True), ("LGPL-3.0-or-later", False), ("GNU Lesser General Public License v3", False),
    ("MPL-2.0 AND MIT", False),
])
def test_tells_licences(licence: str, convicted: bool) -> None:
    assert may_not_be_shipped(licence) is convicted


@pytest.mark.parametrize("entry", sorted(lock_file("run")))
def test_requirement_may_be_shipped(entry: str) -> None:
    licence = licence_of(entry.split("==")[0])
    assert licence.strip()
    assert not may_not_be_shipped(licence)
