import pytest

from dicomserver.config.check import nearest, problems_in
from dicomserver.config.schema import KEYS

AE_TITLE = "an AE title: 1 to 16 printable ASCII characters, no backslash, not like a path"
PORT = "a whole number from 1 to 65535"
DATABASES = "sqlite:///absolute/path, postgres://user:password@host/database or memory:"


@pytest.mark.parametrize(
    "content, lines",
    [
        ({}, []),
        ({"port": 0}, [f"port: 0 is not allowed; allowed is {PORT}"]),
        ({"port": 65536}, [f"port: 65536 is not allowed; allowed is {PORT}"]),
        ({"port": "11112"}, [f'port: "11112" is not allowed; allowed is {PORT}, without quotes']),
        ({"port": "eleven"}, [f'port: "eleven" is not allowed; allowed is {PORT}']),
        ({"port": True}, [f"port: true is not allowed; allowed is {PORT}"]),
        ({"port": 104.0}, [f"port: 104.0 is not allowed; allowed is {PORT}"]),
        ({"port": None}, [f"port: null is not allowed; allowed is {PORT}"]),
        ({"aeTitle": ""}, [f'aeTitle: "" is not allowed; allowed is {AE_TITLE}']),
        ({"aeTitle": "X" * 17}, [f'aeTitle: "{"X" * 17}" is not allowed; allowed is {AE_TITLE}']),
        ({"aeTitle": 4711}, [f"aeTitle: 4711 is not allowed; allowed is {AE_TITLE}, in quotes"]),
        ({"aeTitle": ["A"]}, [f"aeTitle: a list is not allowed; allowed is {AE_TITLE}"]),
        ({"aeTitle": "A\nB"}, [f'aeTitle: "A\\nB" is not allowed; allowed is {AE_TITLE}']),
        (
            {"bindAddress": "localhost"},
            ['bindAddress: "localhost" is not allowed; allowed is an IPv4 or IPv6 address, or null'],
        ),
        (
            {"maxConcurrentConnections": 0},
            ["maxConcurrentConnections: 0 is not allowed; allowed is a whole number from 1 to 1000"],
        ),
        (
            {"maxPDUSize": 4095},
            ["maxPDUSize: 4095 is not allowed; allowed is a whole number from 4096 to 1048576"],
        ),
        (
            {"allowedCallingAETitles": "A,B"},
            ['allowedCallingAETitles: "A,B" is not allowed; allowed is a list of AE titles'],
        ),
        (
            {"allowedCallingAETitles": ["A", "B\\", 3]},
            [
                f'allowedCallingAETitles.1: "B\\\\" is not allowed; allowed is {AE_TITLE}',
                f"allowedCallingAETitles.2: 3 is not allowed; allowed is {AE_TITLE}, in quotes",
            ],
        ),
        (
            {"checkCalledAETitle": "yes"},
            ['checkCalledAETitle: "yes" is not allowed; allowed is true or false'],
        ),
        ({"verbose": "true"}, ['verbose: "true" is not allowed; allowed is true or false, without quotes']),
        ({"verbose": 1}, ["verbose: 1 is not allowed; allowed is true or false"]),
        ({"enableTLS": True}, ["enableTLS: true is not allowed: this version has no TLS yet"]),
        ({"enableTLS": "x"}, ['enableTLS: "x" is not allowed; allowed is true or false']),
        ({"tlsCertificate": ""}, ['tlsCertificate: "" is not allowed; allowed is a path, or null']),
        ({"dataDirectory": "a\0b"}, ['dataDirectory: "a\\u0000b" is not allowed; allowed is a path']),
        ({"databaseURL": "x.db"}, [f'databaseURL: "x.db" is not allowed; allowed is {DATABASES}, or null']),
        (
            {"databaseURL": "mysql://u:secret@h/d"},
            [f'databaseURL: "mysql://u:***@h/d" is not allowed; allowed is {DATABASES}, or null'],
        ),
        (
            {"databaseURL": "postgres://u:secret@h/d\n"},
            [f'databaseURL: "postgres://u:***@h/d\\n" is not allowed; allowed is {DATABASES}, or null'],
        ),
        ({"databaseURL": "postgres://u:secret@h/d"}, []),
        ({"artimSeconds": 0}, ["artimSeconds: 0 is not allowed; allowed is a number from 0.1 to 3600"]),
        ({"queryTimeoutSeconds": 0}, ["queryTimeoutSeconds: 0 is not allowed; allowed is a number from 0.1 to 3600"]),
        (
            {"maxQueryMatches": -1},
            ["maxQueryMatches: -1 is not allowed; allowed is a whole number from 0 to 1000000000"],
        ),
        (
            {"artimSeconds": float("nan")},
            ["artimSeconds: NaN is not allowed; allowed is a number from 0.1 to 3600"],
        ),
        (
            {"artimSeconds": "30"},
            ['artimSeconds: "30" is not allowed; allowed is a number from 0.1 to 3600, without quotes'],
        ),
        (
            {"knownDestinations": []},
            ["knownDestinations: a list is not allowed; allowed is a mapping of AE titles"],
        ),
        (
            {"knownDestinations": {"A\\": {"host": "h", "port": 1}}},
            [f'knownDestinations: the name "A\\\\" is not allowed; allowed is {AE_TITLE}'],
        ),
        (
            {"knownDestinations": {"WS1": "h:104"}},
            [
                'knownDestinations.WS1: "h:104" is not allowed; '
                'allowed is a mapping with host, port, aeTitle, associations'
            ],
        ),
        (
            {"knownDestinations": {"WS1": {}}},
            ["knownDestinations.WS1.host: is missing", "knownDestinations.WS1.port: is missing"],
        ),
        (
            {"knownDestinations": {"WS1": {"host": "a b", "port": 70000, "aet": "X"}}},
            [
                'knownDestinations.WS1.host: "a b" is not allowed; allowed is a host name or an IP address',
                f"knownDestinations.WS1.port: 70000 is not allowed; allowed is {PORT}",
                "knownDestinations.WS1.aet: unknown key; the nearest known one is aeTitle",
            ],
        ),
        (
            {"databaseUrl": "postgres://u:secret@h/d"},
            ["databaseUrl: unknown key; the nearest known one is databaseURL"],
        ),
        (
            {"port": 0, "verbos": True, "aeTitle": 1},
            [
                f"aeTitle: 1 is not allowed; allowed is {AE_TITLE}, in quotes",
                f"port: 0 is not allowed; allowed is {PORT}",
                "verbos: unknown key; the nearest known one is verbose",
            ],
        ),
    ],
)
def test_every_problem_is_one_line_with_key_value_and_what_is_allowed(content, lines):
    assert [str(problem) for problem in problems_in(content)] == lines


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("prot", "port"),
        ("aetitle", "aeTitle"),
        ("ae_title", "aeTitle"),
        ("ae-title", "aeTitle"),
        ("AETitle", "aeTitle"),
        ("dataDir", "dataDirectory"),
        ("databaseUrl", "databaseURL"),
        ("maxPduSize", "maxPDUSize"),
        ("max_pdu_size", "maxPDUSize"),
        ("allowedAETitles", "allowedCallingAETitles"),
        ("blockedCallingAETitle", "blockedCallingAETitles"),
        ("enableTls", "enableTLS"),
        ("tls", "enableTLS"),
        ("destinations", "knownDestinations"),
        ("verbosity", "verbose"),
        ("maxConnections", "maxPendingConnections"),
        ("", "port"),
    ],
)
def test_an_unknown_key_names_the_nearest(typed, meant):
    assert nearest(typed, KEYS) in KEYS
    if typed:
        assert nearest(typed, KEYS) == meant


@pytest.mark.parametrize(
    "content",
    [
        {"port": 1},
        {"port": 65535},
        {"maxPDUSize": 4096},
        {"maxPDUSize": 1048576},
        {"artimSeconds": 0.1},
        {"artimSeconds": 30},
        {"databaseURL": None},
        {"databaseURL": "memory:"},
        {"databaseURL": "sqlite:///var/lib/x.db"},
        {"bindAddress": "::"},
        {"bindAddress": None},
        {"enableTLS": False},
        {"tlsCertificate": "/etc/cert.pem"},
        {"stopGraceSeconds": 0},
        {
            "knownDestinations": {
                "WS1": {"host": "10.0.0.5", "port": 104, "aeTitle": "WS"},
                "WS2": {"host": "h", "port": 1},
            }
        },
    ],
)
def test_what_is_allowed_is_allowed(content):
    assert problems_in(content) == []
