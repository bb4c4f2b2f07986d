"""The four commands as a user types them."""

import signal
import socket
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


@pytest.mark.parametrize("tool, more", [
    ("dicom-echo", []), ("dicom-query", []), ("dicom-retrieve", ["--study-uid", "1.2"])])
def test_ctrl_c_ends_it_though_the_server_says_nothing(tool, more):
    with socket.create_server(("127.0.0.1", 0)) as door:
        with subprocess.Popen([FOLDER / tool, f"127.0.0.1:{door.getsockname()[1]}", *more], stderr=subprocess.PIPE,
                              env={"PATH": "/usr/bin:/bin"}) as child:
            connection, _ = door.accept()
            with connection:
                assert connection.recv(1)       # the association request: it waits for our answer
                child.send_signal(signal.SIGINT)
                _, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (-signal.SIGINT, b"")
