import pytest

from dicomserver.config.content import ContentError, parse

KEYS = {
    "aeTitle": "MY_PACS",
    "port": 104,
    "verbose": True,
    "allowedCallingAETitles": ["A", "B"],
    "logFile": None,
    "artimSeconds": 1.5,
    "knownDestinations": {"WS1": {"host": "h", "port": 1}},
}
JSON = """{"aeTitle": "MY_PACS", "port": 104, "verbose": true, "allowedCallingAETitles": ["A", "B"],
 "logFile": null,
 "artimSeconds": 1.5, "knownDestinations": {"WS1": {"host": "h", "port": 1}}}"""
YAML = """# a comment
aeTitle: MY_PACS
port: 104
verbose: true
allowedCallingAETitles:
  - A
  - B
logFile:
artimSeconds: 1.5
knownDestinations:
  WS1: {host: h, port: 1}
"""


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        "\n  " + JSON,
        "\ufeff" + JSON,
        YAML,
        "\ufeff" + YAML,
        "---\n" + YAML,
        YAML.replace("\n", "\r\n"),
    ],
)
def test_json_and_yaml_say_the_same(text):
    assert parse(text) == KEYS


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment\n", "{}", " { }\n", "---\n", "null"])
def test_nothing_is_no_keys(text):
    assert parse(text) == {}


@pytest.mark.parametrize(
    "text, value",
    [
        ("NO", "NO"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("0123", "0123"),
        ("0x1F", "0x1F"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-01-02", "2026-01-02"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        ("<<", "<<"),
        ("True", True),
        ("FALSE", False),
        ("-5", -5),
        ("+5", 5),
        ("0", 0),
        ("2.50", 2.5),
        ("~", None),
        ("Null", None),
        ('"104"', "104"),
        ("'true'", "true"),
        ("9" * 19, "9" * 19),
    ],
)
def test_yaml_has_no_surprises(text, value):
    assert parse(f"key: {text}") == {"key": value}
    assert type(parse(f"key: {text}")["key"]) is type(value)


@pytest.mark.parametrize(
    "text, problems",
    [
        (
            '{"port": 1, "port": 2, "aeTitle": "A", "aeTitle": "A"}',
            ['"port": is there twice', '"aeTitle": is there twice'],
        ),
        ('{"a": {"b": 1, "b": 2}}', ['"b": is there twice']),
        ("port: 1\nverbose: true\nport: 2\n", ['line 3, column 1: "port" is there twice']),
        (
            "a:\n  b: 1\n  b: 2\na: 3\n",
            ['line 4, column 1: "a" is there twice', 'line 3, column 3: "b" is there twice'],
        ),
        ("1: 2\n", ["line 1, column 1: the key 1 is no text: write it in quotes"]),
        ("? [a]\n: 1\n", ["line 1, column 3: the key a list is no text: write it in quotes"]),
        ('{"port": 1', ["line 1, column 11: not valid JSON: Expecting ',' delimiter"]),
        ('{"port": %s}' % ("9" * 5000), ["a number has too many digits"]),
        ('{"a":' * 100_000, ["nested too deeply"]),
        ("[" * 100_000, ["nested too deeply"]),
        (
            "port: 1\n\tverbose: true",
            ["line 2, column 1: found character '\\t' that cannot start any token"],
        ),
        ("a: b: c", ["line 1, column 5: a colon where none is allowed: write such a text in quotes"]),
        ("a: *b", ["line 1, column 4: found undefined alias 'b'"]),
        ("a: b\n---\nc: d", ["line 2, column 1: a second document begins: a configuration is one"]),
        ("a: !!int x", ["a value does not fit its tag"]),
        ("a: !!map x", ["line 1, column 4: expected keys and values"]),
        ("a: \x00", ["neither JSON nor YAML: it has characters that no text has"]),
        ("[1, 2]", ["a configuration is keys and values, such as port: 11112"]),
        ("port = 11112", ["a configuration is keys and values, such as port: 11112"]),
        ('"text"', ["a configuration is keys and values, such as port: 11112"]),
        ("5", ["a configuration is keys and values, such as port: 11112"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, problems):
    with pytest.raises(ContentError) as raised:
        parse(text)
    assert [str(problem) for problem in raised.value.problems] == problems


@pytest.mark.parametrize(
    "tag", ["python/object/apply:os.system", "python/name:os.system", "set", "timestamp", "binary", "omap"]
)
def test_yaml_makes_nothing_but_keys_values_and_lists(tag):
    with pytest.raises(ContentError, match="could not determine a constructor for the tag"):
        parse(f"a: !!{tag} [x]")


def test_json_is_not_taken_for_sloppy_yaml():
    with pytest.raises(ContentError, match="^line [12], column .*: not valid JSON: "):
        parse('{"port": 1,\n}')
