"""What systemd wants to know (sd_notify(3)); nothing happens when nobody asks."""
from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """state: such as READY=1, STOPPING=1, WATCHDOG=1, STATUS=…; several are separated by newlines."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as out:
        try:
            out.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
        except OSError:
            return      # a manager that does not listen is no reason to fail


def watchdog_seconds() -> float | None:
    """How often the manager wants to hear WATCHDOG=1: twice in each interval that it allows.

    None: it does not.
    """
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        interval = int(os.environ["WATCHDOG_USEC"])
    except (KeyError, ValueError):
        return None
    return interval / 2e6 if interval > 0 else None
