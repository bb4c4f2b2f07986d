"""What a running server can be told. Plain values: where they come from is the business of a higher floor."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LobbySettings:
    """Connections that have not yet sent a complete A-ASSOCIATE-RQ."""

    artim_seconds: float = 30.0         # from accept, absolute (PS3.8 9.1.5)
    capacity: int = 256                 # connections in all
    capacity_per_host: int = 64
    max_request_length: int = 256 << 10  # PDU-length field of an A-ASSOCIATE-RQ
    patience_seconds: float = 0.1       # a request waits so long for an association that is just ending
    linger_seconds: float = 2.0         # a refused peer gets so long to read why


@dataclass(frozen=True, slots=True, kw_only=True)
class MoverSettings:
    """When instances go from the intake to their folders."""

    interval_seconds: float = 1.0
    batch: int = 256                    # so many instances, or so many bytes, do not wait for the interval
    batch_octets: int = 256 << 20
    first_retry_seconds: float = 1.0
    longest_retry_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    verbose: bool = False
    file: Path | None = None            # None: standard error
    max_bytes: int = 10 << 20           # the file is rotated when it would grow beyond; 0: never
    backups: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Everything but the port, the addresses, the data directory and the database can change while the server runs."""

    ae_title: str = "DICOMKIT_SCP"
    port: int = 11112
    bind_address: str = ""              # "": every address, IPv4 and IPv6
    data_directory: Path = Path("dicom-data")
    database_url: str = ""              # "": the SQLite file dicom-server.db in the data directory
    max_concurrent_connections: int = 10
    grace_seconds: float = 5.0          # running transfers get so long when the server stops
    lobby: LobbySettings = field(default_factory=LobbySettings)
    mover: MoverSettings = field(default_factory=MoverSettings)
    log: LogSettings = field(default_factory=LogSettings)
