"""`dicom-server start`: the server, in the foreground, until SIGTERM, SIGINT or `dicom-server stop`."""

from __future__ import annotations

import argparse

from dicomserver.cli import arguments
from dicomserver.cli.configured import add_network, add_storage, configuration
from dicomserver.cli.failures import told
from dicomserver.cli.settings import server_settings
from dicomserver.config.problems import ConfigurationError
from dicomserver.server import logs
from dicomserver.server.commands import ReloadFailed
from dicomserver.server.rooms import RealRooms
from dicomserver.server.server import Server
from dicomserver.server.settings import ServerSettings


def parser() -> argparse.ArgumentParser:
    """The options of `start`."""
    made = arguments.parser(
        "start",
        "Start the server in the foreground; it runs until SIGTERM, Ctrl-C or dicom-server stop.\n"
        "SIGHUP makes it read its configuration anew. Stronger than the file is the environment (aeTitle is\n"
        "DICOM_SERVER_AE_TITLE), and the command line is stronger than both.",
        "dicom-server start --aet MY_PACS --port 11112 --data-dir /var/lib/dicom-server")
    add_network(made)
    add_storage(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Serves; the exit code. Raises ConfigurationError, Failed."""

    def read_again() -> ServerSettings:
        try:
            return server_settings(configuration(options))
        except ConfigurationError as error:
            raise ReloadFailed("; ".join(map(str, error.problems))) from None

    settings = server_settings(configuration(options))
    with told():
        log = logs.set_up(settings.log)
        return Server(settings, RealRooms(), log, read_again).run()
