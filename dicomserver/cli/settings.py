"""The configuration in the terms of the server, which knows nothing of files, keys and flags."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dicomserver.config.schema import Configuration
from dicomserver.server.settings import (
    AssociationSettings,
    CommitmentSettings,
    LobbySettings,
    LogSettings,
    RetentionSettings,
    ScrubSettings,
    ServerSettings,
    StorageSettings,
)
from dicomserver.services.move import Destination

_MEGABYTE = 1 << 20
_DAY = 86400


def server_settings(chosen: Configuration) -> ServerSettings:
    """What a server is told. `chosen` comes from `config.load.load`, so that its places are absolute."""
    return ServerSettings(
        ae_title=chosen.ae_title,
        port=chosen.port,
        bind_address=chosen.bind_address or "",
        data_directory=Path(chosen.data_directory),
        database_url=chosen.database_url or "",
        node=chosen.node,
        control_directory=_path(chosen.control_socket_directory),
        max_concurrent_connections=chosen.max_concurrent_connections,
        trash_seconds=chosen.trash_days * _DAY,
        grace_seconds=chosen.stop_grace_seconds,
        destinations={name: Destination(one.host, one.port, one.ae_title or name, one.associations)
                      for name, one in chosen.known_destinations.items()},
        lobby=_lobby(chosen),
        association=_association(chosen),
        commitment=CommitmentSettings(report_age_seconds=chosen.commitment_report_days * _DAY),
        retention=RetentionSettings(days=chosen.retention_days, free_percent=chosen.retention_free_percent,
                                    minimum_days=chosen.retention_minimum_days),
        storage=StorageSettings(reserve=chosen.reserve_megabytes * _MEGABYTE),
        scrub=ScrubSettings(days=chosen.scrub_days, octets_per_second=chosen.scrub_megabytes_per_second * 1e6),
        log=_log(chosen),
    )


def settings_alone(chosen: Configuration) -> ServerSettings:
    """The same for what works on an archive while none of its servers runs."""
    return dataclasses.replace(server_settings(chosen), node=0)


def _lobby(chosen: Configuration) -> LobbySettings:
    return LobbySettings(
        artim_seconds=chosen.artim_seconds,
        capacity=chosen.max_pending_connections,
        capacity_per_host=chosen.max_pending_connections_per_host,
        max_request_length=chosen.max_associate_request_bytes,
    )


def _association(chosen: Configuration) -> AssociationSettings:
    return AssociationSettings(
        allowed_calling_ae_titles=frozenset(chosen.allowed_calling_ae_titles),
        blocked_calling_ae_titles=frozenset(chosen.blocked_calling_ae_titles),
        check_called_ae_title=chosen.check_called_ae_title,
        accept_private_sop_classes=chosen.accept_private_sop_classes,
        max_pdu_size=chosen.max_pdu_size,
        operations=chosen.asynchronous_operations,
        idle_seconds=chosen.idle_timeout_seconds,
        progress_seconds=chosen.progress_timeout_seconds,
        write_seconds=chosen.write_timeout_seconds,
        minimum_rate=chosen.minimum_rate_bytes_per_second,
        max_command=chosen.max_command_bytes,
        max_identifier=chosen.max_identifier_bytes,
        query_seconds=chosen.query_timeout_seconds,
        max_query_matches=chosen.max_query_matches,
        fuzzy_for=frozenset(chosen.fuzzy_names_for),
        without_roles=frozenset(chosen.get_without_role_selection),
        max_sequence_depth=chosen.max_sequence_depth,
        max_inflated=chosen.max_inflated_megabytes * _MEGABYTE,
    )


def _log(chosen: Configuration) -> LogSettings:
    return LogSettings(
        verbose=chosen.verbose,
        file=_path(chosen.log_file),
        max_bytes=chosen.log_max_megabytes * _MEGABYTE,
        backups=chosen.log_backups,
    )


def _path(text: str | None) -> Path | None:
    return Path(text).absolute() if text else None
