"""The server that a client tool talks to, in every spelling that people are used to."""

from __future__ import annotations

import argparse
import re

from dicomserver.cli import arguments
from dicomserver.cli.arguments import Usage
from dicomserver.config import values
from dicomserver.scu.peer import Peer

DEFAULT_PORT = 11112
ANY_TITLE = "ANY-SCP"
_SCHEME = "pacs://"
# AET@host:port, AET@[::1]:port and so on; a bare IPv6 address has no port.
_ADDRESS = re.compile(r"(?:(?P<title>[^@]*)@)?(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:@\[\]]*)|(?P<bare>[0-9A-Fa-f:.]+))"
                      r"(?::(?P<port>\d+))?/?")


def add_peer(made: argparse.ArgumentParser, own_title: str, timeout: float = 60.0) -> None:
    """SERVER, our and its AE title and the deadlines; those of DCMTK under its names, too."""
    title, seconds = arguments.checked(values.ae_title), arguments.checked(values.seconds)
    made.add_argument("server", metavar="SERVER", type=arguments.checked(_address),
                      help="pacs://HOST[:PORT], HOST:PORT, AET@HOST:PORT or HOST")
    made.add_argument("--port", "-p", type=arguments.checked(values.port), metavar="PORT",
                      help=f"the server's port, if SERVER does not say it (default: {DEFAULT_PORT})")
    made.add_argument("--aet", "-aet", type=title, default=own_title, metavar="AET",
                      help=f"our AE title (default: {own_title})")
    made.add_argument("--called-aet", "--called-ae", "-aec", type=title, metavar="AET",
                      help=f"the server's AE title (default: {ANY_TITLE})")
    made.add_argument("--timeout", "-td", "-ta", type=seconds, default=timeout, metavar="SECONDS",
                      help=f"the longest wait for each answer (default: {timeout:g})")
    made.add_argument("--connect-timeout", "-to", type=seconds, metavar="SECONDS",
                      help="the longest wait for the connection (default: as --timeout)")
    made.add_argument("--max-pdu", "-pdu", type=arguments.checked(_pdu), default=16384, metavar="BYTES",
                      help="the longest PDU that we take (default: 16384)")


def peer_of(options: argparse.Namespace) -> Peer:
    """The peer that the options of `add_peer` mean. Raises Usage."""
    title, host, port = options.server
    if port and options.port and port != options.port:
        raise Usage(f"SERVER says port {port} and --port says {options.port}")
    return Peer(host=host, port=port or options.port or DEFAULT_PORT, calling_ae_title=options.aet,
                called_ae_title=options.called_aet or title or ANY_TITLE, timeout=options.timeout,
                connect_timeout=options.connect_timeout, maximum_length=options.max_pdu)


def _address(text: str) -> tuple[str, str, int | None]:
    """AE title or "", host, port or None."""
    found = _ADDRESS.fullmatch(text[len(_SCHEME):] if text.lower().startswith(_SCHEME) else text)
    if found is None:
        raise ValueError("a server: pacs://HOST[:PORT], HOST:PORT, AET@HOST:PORT or HOST")
    title = values.ae_title(found["title"]) if found["title"] is not None else ""
    host = values.host(found["six"] or found["host"] or found["bare"] or "")
    return title, host, values.port(found["port"]) if found["port"] else None


def _pdu(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or 0 < int(text) < 4096:
        raise ValueError("a number of bytes, at least 4096, or 0 for no limit")
    return int(text)
