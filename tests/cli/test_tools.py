"""The four commands as a user types them."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dicomserver.cli import tools

TOOLS = ("dicom-echo", "dicom-send", "dicom-query", "dicom-retrieve")
FOLDER = Path(sys.executable).parent


def typed(tool, *arguments, **environment):
    return subprocess.run([FOLDER / tool, *arguments], capture_output=True, text=True, timeout=60,
                          env={"PATH": "/usr/bin:/bin"} | environment)


def test_all_are_installed(root):
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == {"dicom-server", *TOOLS}
    for tool in TOOLS:
        assert scripts[tool] == f"dicomserver.cli.tools:{tool.replace('-', '_')}"
        assert callable(getattr(tools, tool.replace("-", "_")))


@pytest.mark.parametrize("tool", TOOLS)
def test_help_ends_with_examples(tool):
    done = typed(tool, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {tool}")
    assert f"\nexamples:\n  {tool} pacs://localhost:11112" in done.stdout


@pytest.mark.parametrize("tool", TOOLS)
def test_wrong_usage_is_one_line(tool):
    done = typed(tool, "localhost", "--no-such-option")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"{tool}: ")


@pytest.mark.parametrize("tool", TOOLS)
def test_nothing_heavy_is_loaded(tool):
    code = ("import sys; from dicomserver.cli.tools import run\n"
            f"try: run({tool!r}, ['--help'])\nexcept SystemExit: pass\n"
            "loaded = {name.partition('.')[0] for name in sys.modules}\n"
            "print(sorted(loaded & {'pydantic', 'yaml', 'pydicom', 'tqdm', 'numpy'}))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("[]\n"), done.stderr
