"""The configuration: every option with its default, its bounds and its description.

This one model checks the file, the environment and the command line, and generates
conf/dicom-server.yaml and the table of the manual. The floors below `server` never see it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from dicomserver.config import values


@dataclass(frozen=True, slots=True)
class Allowed:
    """Stands in an option's type and says in words what its value may be."""

    text: str


def _allowing(text: str, kind: Any, check: Callable[[Any], Any] | None = None) -> Any:
    """`kind` whose values pass `check` too; whatever fails, the error says `text`."""

    def wrapped(value: object, inner: Callable[[object], Any]) -> Any:
        try:
            return inner(value)
        except ValidationError:
            raise PydanticCustomError("not_allowed", "{allowed}", {"allowed": text}) from None

    checks = [AfterValidator(check)] if check else []
    return Annotated[kind, *checks, WrapValidator(wrapped), Allowed(text)]


def _whole(lowest: int, highest: int) -> Any:
    bounded = Annotated[int, Field(ge=lowest, le=highest)]
    return _allowing(f"a whole number from {lowest} to {highest}", bounded)


def _seconds(lowest: float, highest: float) -> Any:
    bounded = Annotated[float, Field(ge=lowest, le=highest)]
    return _allowing(f"a number from {lowest:g} to {highest:g}", bounded)


def _or_null(text: str, check: Callable[[str], str]) -> Any:
    return _allowing(f"{text}, or null", str | None, lambda value: None if value is None else check(value))


_DATABASES = "sqlite:///absolute/path, postgres://user:password@host/database or memory:"


def _tls_is_absent(enabled: bool) -> bool:
    if enabled:
        raise PydanticCustomError("unavailable", "this version has no TLS yet")
    return enabled


AETitle = _allowing(values.AE_TITLE, str, values.ae_title)
AETitles = Annotated[list[AETitle], Allowed("a list of AE titles")]
Port = _whole(1, 65535)
Switch = _allowing("true or false", bool)
Path = _allowing("a path", str, values.path)
OptionalPath = _or_null("a path", values.path)


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Destination(_Keys):
    """Where a C-MOVE may send to, and where the reports of storage commitments go."""

    host: _allowing("a host name or an IP address", str, values.host)
    port: Port
    ae_title: _or_null(values.AE_TITLE, values.ae_title) = Field(None, alias="aeTitle")
    associations: _whole(1, 8) = 1


class Configuration(_Keys):
    """Every option. In upper case after `DICOM_SERVER_` an attribute's name is that of its variable."""

    ae_title: AETitle = Field("DICOMKIT_SCP", alias="aeTitle", description="Our AE title.")
    port: Port = Field(11112, description="The TCP port on which DICOM is spoken.")
    bind_address: _or_null("an IPv4 or IPv6 address", values.ip_address) = Field(
        None, alias="bindAddress",
        description="The address to listen on; null is every address of this machine, IPv4 and IPv6.")
    max_concurrent_connections: _whole(1, 1000) = Field(
        10, alias="maxConcurrentConnections",
        description="Associations served at the same time; one more is refused for the moment.")
    max_pdu_size: _whole(4096, 1 << 20) = Field(
        16384, alias="maxPDUSize",
        description="The longest P-DATA-TF PDU that we announce to receive, in bytes.")
    asynchronous_operations: _whole(1, 32) = Field(
        8, alias="asynchronousOperations",
        description="How many requests a peer that negotiates an asynchronous operations window may have under way.")
    allowed_calling_ae_titles: AETitles = Field(
        [], alias="allowedCallingAETitles", description="Who may call; an empty list admits everybody.")
    blocked_calling_ae_titles: AETitles = Field(
        [], alias="blockedCallingAETitles", description="Who may not call, even if listed as allowed.")
    check_called_ae_title: Switch = Field(
        False, alias="checkCalledAETitle", description="Refuse who calls us by another name than aeTitle.")
    accept_private_sop_classes: Switch = Field(
        True, alias="acceptPrivateSOPClasses",
        description="Also store objects of SOP classes that are not the standard's.")
    known_destinations: Annotated[dict[AETitle, Destination], Allowed("a mapping of AE titles")] = Field(
        {}, alias="knownDestinations",
        description='The C-MOVE destinations: {"WS1": {"host": "10.0.0.5", "port": 104, "aeTitle": "WS1"}}; '
                    'without an aeTitle the name itself is used; with "associations": 4 one C-MOVE opens up to four. '
                    "Requesters of storage commitment are found here too.")
    get_without_role_selection: AETitles = Field(
        [], alias="getWithoutRoleSelection",
        description="Who may C-GET without SCP/SCU role selection, as some workstations in the field do.")
    commitment_report_days: _whole(1, 365) = Field(
        7, alias="commitmentReportDays",
        description="For how many days we try to deliver the report of a storage commitment.")
    enable_tls: Annotated[Switch, AfterValidator(_tls_is_absent)] = Field(
        False, alias="enableTLS", description="TLS on the DICOM port. Not in this version.")
    tls_certificate: OptionalPath = Field(
        None, alias="tlsCertificate", description="The file of our certificate and its chain, PEM.")
    tls_private_key: OptionalPath = Field(
        None, alias="tlsPrivateKey", description="The file of the certificate's private key, PEM.")

    data_directory: Path = Field(
        "./dicom-data", alias="dataDirectory",
        description="Where the images live; a relative path starts at the working directory.")
    database_url: _or_null(_DATABASES, values.database_url) = Field(
        None, alias="databaseURL",
        description="The index: null is the SQLite file dicom-server.db in the data directory, "
                    "sqlite:///var/lib/x.db the SQLite file /var/lib/x.db, "
                    "postgres://user@host/database a PostgreSQL database (the password belongs into ~/.pgpass), "
                    "\"memory:\" (in quotes) an index in memory only, rebuilt from the files at each start. "
                    "To change it in an archive that has images: dicom-server index migrate.")
    node: _whole(0, 127) = Field(
        0,
        description="Which of several servers on one data directory and one PostgreSQL database this is, from 1, each "
                    "with a number of its own; 0 is a server that is alone.")
    reserve_megabytes: _whole(0, 1_000_000) = Field(
        256, alias="reserveMegabytes",
        description="Free space that is kept: with less than this on the disk, stores are refused (A700).")
    scrub_days: _whole(0, 3650) = Field(
        30, alias="scrubDays",
        description="All stored files are read anew and compared with their digests every so many days; 0 is never.")
    scrub_megabytes_per_second: _whole(1, 100_000) = Field(
        10, alias="scrubMegabytesPerSecond",
        description="How fast that reads at most, so that it is in nobody's way.")
    trash_days: _whole(0, 3650) = Field(
        7, alias="trashDays",
        description="For how many days deleted images can be brought back (dicom-server undelete); they take space "
                    "until then. 0 deletes for good at once.")
    retention_days: _whole(0, 36500) = Field(
        0, alias="retentionDays",
        description="Studies whose last image came more days ago than this are deleted by themselves, but for those "
                    "marked with dicom-server keep; 0 is never.")
    retention_free_percent: _whole(0, 90) = Field(
        0, alias="retentionFreePercent",
        description="The oldest studies are deleted by themselves until so much of the disk is free; 0 is never.")
    retention_minimum_days: _whole(1, 36500) = Field(
        30, alias="retentionMinimumDays",
        description="No study is deleted by itself whose last image came fewer days ago than this.")

    artim_seconds: _seconds(0.1, 3600) = Field(
        30, alias="artimSeconds",
        description="How long a connection may take until its A-ASSOCIATE-RQ is complete (ARTIM, absolute).")
    idle_timeout_seconds: _seconds(0.1, 86400) = Field(
        60, alias="idleTimeoutSeconds", description="An association that is silent for so long is aborted.")
    progress_timeout_seconds: _seconds(0.1, 3600) = Field(
        30, alias="progressTimeoutSeconds", description="The longest silence inside a message.")
    minimum_rate_bytes_per_second: _whole(0, 1_000_000_000) = Field(
        1024, alias="minimumRateBytesPerSecond",
        description="A peer that sends a message, or takes what we send, slower than this is aborted; 0 is no "
                    "minimum.")
    write_timeout_seconds: _seconds(0.1, 3600) = Field(
        30, alias="writeTimeoutSeconds", description="How long a peer may not read what we send.")
    max_associate_request_bytes: _whole(4096, 16 << 20) = Field(
        256 << 10, alias="maxAssociateRequestBytes", description="The longest A-ASSOCIATE-RQ.")
    max_command_bytes: _whole(1024, 16 << 20) = Field(
        64 << 10, alias="maxCommandBytes", description="The longest command set.")
    max_identifier_bytes: _whole(1024, 1 << 30) = Field(
        1 << 20, alias="maxIdentifierBytes", description="The longest identifier of a query or retrieval.")
    query_timeout_seconds: _seconds(0.1, 3600) = Field(
        30, alias="queryTimeoutSeconds",
        description="How long the index may look for the first matches of a query, and for each few hundred more.")
    max_query_matches: _whole(0, 1_000_000_000) = Field(
        0, alias="maxQueryMatches",
        description="A query with more matches than this ends with a failure (A700) after so many; 0 is no limit.")
    fuzzy_names_for: AETitles = Field(
        [], alias="fuzzyNamesFor",
        description='Whose queries also find names that sound like what was typed, without negotiating it; ["*"]: '
                    "everybody's.")
    max_sequence_depth: _whole(1, 1000) = Field(
        64, alias="maxSequenceDepth", description="Sequences nested deeper than this are refused.")
    max_inflated_megabytes: _whole(1, 100_000) = Field(
        64, alias="maxInflatedMegabytes",
        description="How much of a deflated object is inflated for the index; all of it is stored.")
    max_pending_connections: _whole(1, 10_000) = Field(
        256, alias="maxPendingConnections",
        description="Connections that have not asked for an association yet; one more is refused.")
    max_pending_connections_per_host: _whole(1, 10_000) = Field(
        64, alias="maxPendingConnectionsPerHost", description="The same, from one address.")

    verbose: Switch = Field(False, description="Log more; patient data is never logged.")
    log_file: OptionalPath = Field(
        None, alias="logFile", 
        description="The log file; null is standard error (with systemd: the journal).")
    log_max_megabytes: _whole(1, 100_000) = Field(
        10, alias="logMaxMegabytes", description="The log file is rotated when it has grown to this.")
    log_backups: _whole(0, 1000) = Field(
        5, alias="logBackups", description="How many rotated log files are kept.")
    stop_grace_seconds: _seconds(0, 3600) = Field(
        5, alias="stopGraceSeconds", description="How long transfers may go on when the server stops.")
    control_socket_directory: OptionalPath = Field(
        None, alias="controlSocketDirectory",
        description="Where the control socket is that stop, stats and delete use; "
                    "null is a private directory of the user who runs the server.")


SECTIONS = {
    "ae_title": "The DICOM network",
    "data_directory": "Storage",
    "artim_seconds": "Deadlines and limits",
    "verbose": "Log and life cycle",
}
"""The first option of each section of the shipped file."""


def key_of(attribute: str) -> str:
    """The key of the configuration file for an attribute of `Configuration`."""
    return Configuration.model_fields[attribute].alias or attribute


KEYS = {key_of(attribute): attribute for attribute in Configuration.model_fields}


def allowed(attribute: str) -> str:
    """What an option's value may be, in words."""
    return next(m.text for m in Configuration.model_fields[attribute].metadata if isinstance(m, Allowed))
