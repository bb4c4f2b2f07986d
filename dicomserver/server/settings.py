"""What a running server can be told. Plain values: where they come from is the business of a higher floor."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dicomserver.services.move import Destination
from dicomserver.session.association import Deadlines

INDEX_NAME = "dicom-server.db"          # in the data directory, where nothing else is asked for


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
    """Where log lines go, and how many."""

    verbose: bool = False
    file: Path | None = None            # None: standard error
    max_bytes: int = 10 << 20           # the file is rotated when it would grow beyond; 0: never
    backups: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationSettings:
    """Who may call, and what one association may cost. Times in seconds, sizes in bytes."""

    allowed_calling_ae_titles: frozenset[str] = frozenset()     # empty: everybody
    blocked_calling_ae_titles: frozenset[str] = frozenset()     # wins
    check_called_ae_title: bool = False
    accept_private_sop_classes: bool = True
    max_pdu_size: int = 16384           # what we announce
    operations: int = 8                 # of one association at once, if the peer proposes an asynchronous window
    idle_seconds: float = 60.0          # between messages
    progress_seconds: float = 30.0      # of silence inside a message
    write_seconds: float = 30.0         # in which the peer takes nothing
    minimum_rate: float = 1024.0        # bytes a second, inside a message, and of what we send; 0: none
    max_command: int = 64 << 10
    max_identifier: int = 1 << 20
    query_seconds: float = 30.0         # the index may take so long for the first matches, and for each page of more
    max_query_matches: int = 0          # of one C-FIND; 0: no limit
    fuzzy_for: frozenset[str] = frozenset()         # AE titles, see dicomserver.services.find
    without_roles: frozenset[str] = frozenset()     # AE titles, see dicomserver.services.get
    max_sequence_depth: int = 64
    max_inflated: int = 64 << 20        # of a deflated dataset, for the index; all of it is stored

    def deadlines(self) -> Deadlines:
        """In the terms of an association."""
        return Deadlines(idle=self.idle_seconds, progress=self.progress_seconds, write=self.write_seconds,
                         minimum_rate=self.minimum_rate, sending_rate=self.minimum_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentSettings:
    """How long the reports of storage commitment are retried, and how many may wait."""

    report_age_seconds: float = 7 * 86400.0     # since the request
    first_retry_seconds: float = 10.0
    longest_retry_seconds: float = 900.0
    check_holds_seconds: float = 3600.0         # then the files are read again before the report is sent
    most_waiting: int = 10_000
    most_of_strangers: int = 100                # whose report can go to their own association only


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """Which studies are deleted by themselves; a study is as old as its last image is here."""

    days: int = 0               # older ones go; 0: no matter how old
    free_percent: int = 0       # the oldest go until so much of the file system is free; 0: no matter how full
    minimum_days: int = 30      # younger ones never go


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """What may wait for the mover before new instances wait too, and what stays free on the disk."""

    reserve: int = 256 << 20            # bytes; with less, stores are refused
    waiting_slots: int = 1000
    waiting_octets: int = 1 << 30
    patience_seconds: float = 10.0      # a store waits so long for the mover


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubSettings:
    """How often all stored files are read anew, and how fast."""

    days: float = 30.0                  # from the begin of one pass to that of the next; 0: no scrub
    octets_per_second: float = 10e6     # at most
    first_pause_seconds: float = 60.0   # a start has other things to do


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Everything but the port, the addresses, the data directory, the database, the node, the control socket's folder,
    the storage, the mover and the scrub can change while the server runs."""

    ae_title: str = "DICOMKIT_SCP"
    port: int = 11112
    bind_address: str = ""              # "": every address, IPv4 and IPv6
    data_directory: Path = Path("dicom-data")
    database_url: str = ""              # "": the SQLite file dicom-server.db in the data directory
    node: int = 0                       # which of several servers on one archive; 0: there is one
    control_directory: Path | None = None   # None: see dicomserver.server.control_socket
    max_concurrent_connections: int = 10
    trash_seconds: float = 7 * 86400.0      # deleted instances can be brought back for so long; 0: not at all
    grace_seconds: float = 5.0          # running transfers get so long when the server stops
    destinations: Mapping[str, Destination] = field(default_factory=dict)   # of C-MOVE, by their names
    lobby: LobbySettings = field(default_factory=LobbySettings)
    association: AssociationSettings = field(default_factory=AssociationSettings)
    commitment: CommitmentSettings = field(default_factory=CommitmentSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    mover: MoverSettings = field(default_factory=MoverSettings)
    scrub: ScrubSettings = field(default_factory=ScrubSettings)
    log: LogSettings = field(default_factory=LogSettings)

    def index_url(self) -> str:
        """Where the index is, in the form that dicomserver.index takes."""
        return self.database_url or f"sqlite://{(self.data_directory / INDEX_NAME).absolute()}"

    def fixed(self) -> tuple[object, ...]:
        """What a running server keeps until it is started again."""
        return (self.port, self.bind_address, self.data_directory, self.index_url(), self.node, self.control_directory,
                self.storage, self.mover, self.scrub)
