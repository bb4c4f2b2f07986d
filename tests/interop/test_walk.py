"""The walk of the README, word for word but for the port: start, send, query, retrieve."""
from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pydicom

from tests.interop.example import write_study
from tests.interop.installed import free_port

START = "dicom-server start --aet TEST_PACS --port 11112 --data-dir ./test-data"
SEND = "dicom-send pacs://localhost:11112 --aet TEST_SCU --called-ae TEST_PACS study/*.dcm"
QUERY = 'dicom-query pacs://localhost:11112 --aet TEST_SCU --called-ae TEST_PACS --patient "DOE*"'
RETRIEVE = ("dicom-retrieve pacs://localhost:11112 --aet TEST_SCU --called-ae TEST_PACS --study-uid 1.2.3.4.5 "
            "--output ./retrieved/")


def test_the_readme_says_the_same(root: Path) -> None:
    text = (root / "README.md").read_text().replace("\\\n        ", "").replace(".venv/bin/", "")
    assert all(f"    {command}\n" in text for command in (START, SEND, QUERY, RETRIEVE))


def test_start_send_query_retrieve(tmp_path: Path) -> None:
    port = str(free_port())
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path),
                   "TMPDIR": str(tmp_path)}
    sent = write_study(tmp_path / "study")

    def typed(command: str) -> str:
        """In a shell, as it stands there; -> what it printed."""
        done = subprocess.run(command.replace("11112", port), shell=True, capture_output=True, text=True, timeout=60,
                              cwd=tmp_path, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    with subprocess.Popen(shlex.split(START.replace("11112", port)), stderr=subprocess.PIPE, text=True, cwd=tmp_path,
                          env=environment) as server:
        try:
            assert any(" ready: " in line for line in server.stderr)
            assert typed(SEND).startswith("6 files, 6 succeeded, 0 failed, ")
            found = typed(QUERY).splitlines()
            assert found[-1] == "Total: 1 study(ies)"
            assert found[2].split() == ["DOE^JOHN", "4711", "20260102", "CT", "CT", "of", "the", "chest", "A1", "2",
                                        "6", "1.2.3.4.5"]
            assert typed(RETRIEVE).startswith("6 instances, 0 failed, ")
        finally:
            os.kill(server.pid, signal.SIGTERM)
            server.communicate(timeout=60)
    originals = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, sent)}
    retrieved = sorted((tmp_path / "retrieved").iterdir())
    assert [path.name for path in retrieved] == sorted(f"{uid}.dcm" for uid in originals)
    assert all(pydicom.dcmread(path) == originals[path.stem] for path in retrieved)
