"""Figures as a person reads them."""

from __future__ import annotations

import time


def size(count: int) -> str:
    """Bytes for a person: 1.5 MB (units of 1000)."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds for a person: 2 d 03:04:05."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    clock = f"{hour:02}:{minute:02}:{second:02}"
    return f"{days} d {clock}" if days else clock


def moment(seconds: float) -> str:
    """Seconds since the epoch, as a clock on the wall has them."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def rate(octets: int, seconds: float) -> str:
    """Bytes in a time: 1.5 MB/s."""
    return f"{size(round(octets / seconds))}/s" if seconds > 0 else "-"


def counted(count: int, noun: str) -> str:
    """1 file, 2 files."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
