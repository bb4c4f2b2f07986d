"""Orthanc and DCMTK: installed where they are missing, their services left off."""
from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from tests.bench.servers import ON_POSTGRES, ORTHANC, OURS, PLUGIN, STORESCP
from tests.postgres import program as postgres_program

POLICY = Path("/usr/sbin/policy-rc.d")
PACKAGES = {ORTHANC: "orthanc", STORESCP: "dcmtk", ON_POSTGRES[ORTHANC]: "orthanc-postgresql",
            ON_POSTGRES[OURS]: "postgresql"}


class CannotInstall(Exception):
    """One line: what somebody else has to install."""


def program(peer: str) -> str:
    """What runs that peer; ORTHANC in the environment names another Orthanc than the one in the path."""
    return os.environ.get("ORTHANC", "Orthanc") if peer == ORTHANC else peer


def install(peers: Iterable[str]) -> None:
    """Installs the packages of those that are not there. Raises CannotInstall."""
    missing = [PACKAGES[peer] for peer in peers if peer in PACKAGES and not _is_there(peer)]
    if not missing:
        return
    say = CannotInstall(f"Please install these packages first: apt install {' '.join(missing)}")
    root = _as_root()
    if root is None or shutil.which("apt-get") is None:
        raise say
    print("Installing Debian packages:", *missing)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_services(root):
        for step in (["update"], ["install", "--no-install-recommends", *missing]):
            if subprocess.run([*root, "apt-get", "-qy", *step], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL).returncode:
                raise say
    for service in {"orthanc", "postgresql"}.intersection(missing):     # not started now, but at the next boot it were
        subprocess.run([*root, "systemctl", "disable", "--quiet", service], capture_output=True)


def _is_there(peer: str) -> bool:
    if peer == ON_POSTGRES[ORTHANC]:
        # Another Orthanc than the one in the path, in a chroot even, has its plugin by its own means.
        return "ORTHANC" in os.environ or PLUGIN.exists()
    if peer == ON_POSTGRES[OURS]:
        try:
            return bool(postgres_program("postgres"))
        except FileNotFoundError:
            return False
    return shutil.which(program(peer)) is not None


def _as_root() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    allowed = shutil.which("sudo") and subprocess.run([*sudo, "true"], capture_output=True).returncode == 0
    return sudo if allowed else None


@contextmanager
def _no_services(root: list[str]) -> Iterator[None]:
    """While packages are installed nothing is started: policy-rc.d says so to invoke-rc.d (Debian Policy 9.3.3.1)."""
    if POLICY.exists():
        yield
        return
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as policy:
        policy.write("#!/bin/sh\nexit 101\n")
        policy.flush()
        subprocess.run([*root, "install", "-m", "0755", policy.name, POLICY], check=True)
    try:
        yield
    finally:
        subprocess.run([*root, "rm", "-f", POLICY], check=True)


def versions(servers: Iterable[str]) -> str:
    """Whom the figures are about, in one line."""
    return ", ".join(_version(server) for server in servers if server != ON_POSTGRES[ORTHANC])


def _version(server: str) -> str:
    if server == ON_POSTGRES[OURS]:
        said = subprocess.run([postgres_program("postgres"), "--version"], capture_output=True, text=True).stdout
        return f"PostgreSQL {said.split()[2]}"
    if server == OURS:
        return f"dicom-server {version('dicom-server')}"
    said = subprocess.run([program(server), "--version"], capture_output=True, text=True).stdout.split()
    return f"Orthanc {said[1]}" if server == ORTHANC else f"DCMTK storescp {said[2].lstrip('v')}"
