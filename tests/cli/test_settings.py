import dataclasses
from pathlib import Path

from dicomserver.cli.settings import server_settings, settings_alone
from dicomserver.config.load import load
from dicomserver.config.schema import Configuration
from dicomserver.server.settings import LobbySettings, MoverSettings, ServerSettings
from dicomserver.services.move import Destination

OTHERS = {
    "aeTitle": "MY_PACS", "port": 104, "bindAddress": "::1", "maxConcurrentConnections": 3, "maxPDUSize": 5000,
    "allowedCallingAETitles": ["A"], "blockedCallingAETitles": ["B"], "checkCalledAETitle": True,
    "acceptPrivateSOPClasses": False, "dataDirectory": "/d", "databaseURL": "sqlite:///x.db", "reserveMegabytes": 2,
    "artimSeconds": 1.5, "idleTimeoutSeconds": 2.5, "progressTimeoutSeconds": 3.5, "minimumRateBytesPerSecond": 4,
    "writeTimeoutSeconds": 5.5, "maxAssociateRequestBytes": 6000, "maxCommandBytes": 7000, "maxIdentifierBytes": 8000,
    "queryTimeoutSeconds": 16.5, "maxQueryMatches": 17, "maxSequenceDepth": 9, "maxInflatedMegabytes": 10,
    "maxPendingConnections": 11, "maxPendingConnectionsPerHost": 12,
    "verbose": True, "logFile": "/l", "logMaxMegabytes": 13, "logBackups": 14, "stopGraceSeconds": 15,
    "controlSocketDirectory": "/c", "asynchronousOperations": 18, "getWithoutRoleSelection": ["G"],
    "fuzzyNamesFor": ["*"],
    "commitmentReportDays": 19, "scrubDays": 20, "scrubMegabytesPerSecond": 21, "trashDays": 24,
    "node": 28, "retentionDays": 25, "retentionFreePercent": 26, "retentionMinimumDays": 27,
    "knownDestinations": {"WS1": {"host": "h", "port": 104}, "WS2": {"host": "h", "port": 1, "aeTitle": "X"}},
}  # fmt: skip
NOT_YET = {"enableTLS", "tlsCertificate", "tlsPrivateKey"}


def flat(settings):
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from flat(value)
        else:
            yield (type(settings).__name__, field.name), value


def test_the_defaults_are_the_servers_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = ServerSettings(
        data_directory=tmp_path / "dicom-data",
        database_url=f"sqlite://{tmp_path}/dicom-data/dicom-server.db",
    )
    assert server_settings(load()) == expected
    assert expected.index_url() == dataclasses.replace(expected, database_url="").index_url()


def test_every_option_reaches_the_server():
    assert OTHERS.keys() | NOT_YET == set(Configuration().model_dump(by_alias=True))
    defaults = dict(flat(server_settings(Configuration())))
    moved = {}
    for key, value in OTHERS.items():
        found = dict(flat(server_settings(Configuration.model_validate({key: value}))))
        changed = [place for place in found if found[place] != defaults[place]]
        assert len(changed) == 1, key
        moved[changed[0]] = found[changed[0]]
    assert len(moved) == len(OTHERS)
    assert moved[("AssociationSettings", "max_inflated")] == 10 << 20
    assert moved[("StorageSettings", "reserve")] == 2 << 20
    assert moved[("ScrubSettings", "octets_per_second")] == 21_000_000
    assert moved[("LogSettings", "file")] == Path("/l")
    assert moved[("AssociationSettings", "without_roles")] == {"G"}
    assert moved[("ServerSettings", "destinations")] == {
        "WS1": Destination("h", 104, "WS1"), "WS2": Destination("h", 1, "X")}


def test_who_works_on_a_stopped_server_s_archive_is_no_node():
    assert settings_alone(Configuration(node=3)) == server_settings(Configuration())


def test_what_is_not_configurable_stays_as_the_server_has_it():
    settings = server_settings(Configuration())
    assert settings.mover == MoverSettings()
    assert settings.lobby.linger_seconds == LobbySettings().linger_seconds
