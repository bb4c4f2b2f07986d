"""The options that say how a server is configured, for `start` and what works on its data directory."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dicomserver.archive.layout import FORMAT_FILE
from dicomserver.cli.arguments import Failed
from dicomserver.cli.concealment import conceal_arguments
from dicomserver.config.load import Flag, load
from dicomserver.config.schema import Configuration

_STORAGE = (
    ("data_directory", ("--data-dir",), "DIR", "the files and the SQLite index (default: ./dicom-data)"),
    ("database_url", ("--database-url",), "URL", "sqlite:///absolute/path, postgres://user@host/database or memory:"),
)
_NETWORK = (
    ("ae_title", ("--aet", "-a"), "AET", "our AE title (default: DICOMKIT_SCP)"),
    ("port", ("--port", "-p"), "PORT", "the DICOM port (default: 11112)"),
    ("node", ("--node",), "N", "which of several servers on one archive this is (default: 0, it is alone)"),
    ("max_concurrent_connections", ("--max-connections",), "N", "concurrent associations (default: 10)"),
    ("max_pdu_size", ("--max-pdu-size",), "BYTES", "the receive maximum that we announce (default: 16384)"),
    ("allowed_calling_ae_titles", ("--allowed-ae",), "AET,AET", "who may call (default: everybody)"),
    ("blocked_calling_ae_titles", ("--blocked-ae",), "AET,AET", "who may not call"),
)
_SWITCHES = (
    ("enable_tls", ("--tls",), "TLS on the DICOM port; not in this version"),
    ("verbose", ("--verbose", "-v"), "log more; still no patient data"),
)
_SPELLED = {attribute: spellings[0] for attribute, spellings, *_ in (*_STORAGE, *_NETWORK, *_SWITCHES)}


def add_storage(made: argparse.ArgumentParser) -> None:
    """--config and the options that say where the files and the index are."""
    made.add_argument("--config", metavar="FILE", help="a JSON or YAML file; what is typed here overrides it")
    made.add_argument("--database", choices=("sqlite", "postgres", "none"),
                      help="where the index is (default: sqlite); postgres without a URL: where the PG* variables of "
                           "the environment say; none: in memory only, rebuilt from the files at start")
    _add(made, _STORAGE)


def add_network(made: argparse.ArgumentParser) -> None:
    """The options that say who we are and who may call, and the switches."""
    _add(made, _NETWORK)
    for attribute, spellings, text in _SWITCHES:
        made.add_argument(*spellings, dest=attribute, action="store_true", default=None, help=text)


def configuration(options: argparse.Namespace) -> Configuration:
    """Command line > environment > file > defaults. Raises ConfigurationError."""
    if options.database_url is not None:
        conceal_arguments()
    flags = [Flag(attribute, spelled, value) for attribute, spelled in _SPELLED.items()
             if (value := getattr(options, attribute, None)) is not None]
    return load(options.config, flags, os.environ, options.database)


def require_archive(data_directory: Path) -> None:
    """Raises Failed unless a server has made it: a mistyped path shall not become an archive."""
    if not os.path.isdir(data_directory):
        raise Failed(f"there is no data directory {data_directory}")
    if not os.path.exists(os.path.join(data_directory, FORMAT_FILE)):
        raise Failed(f"{data_directory} is no data directory of dicom-server")


def require_own(data_directory: Path) -> None:
    """Raises Failed unless it is there, and what is made in it the server can use."""
    require_archive(data_directory)
    if os.geteuid() == 0 != os.stat(data_directory).st_uid:
        # An index that root has made the server could not open.
        raise Failed(f"{data_directory} belongs to another user: run this as that user")


def _add(made: argparse.ArgumentParser, table: tuple) -> None:
    for attribute, spellings, metavar, text in table:
        made.add_argument(*spellings, dest=attribute, metavar=metavar, help=text)
