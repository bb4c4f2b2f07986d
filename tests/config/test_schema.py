import re

import pytest
from pydantic import ValidationError

from dicomserver.config.schema import KEYS, SECTIONS, Configuration, Destination, allowed, key_of

CONTRACT = {
    "aeTitle": "DICOMKIT_SCP",
    "port": 11112,
    "dataDirectory": "./dicom-data",
    "databaseURL": None,
    "maxConcurrentConnections": 10,
    "maxPDUSize": 16384,
    "allowedCallingAETitles": [],
    "blockedCallingAETitles": [],
    "enableTLS": False,
    "tlsCertificate": None,
    "tlsPrivateKey": None,
    "verbose": False,
    "knownDestinations": {},
    "checkCalledAETitle": False,
}
HOSTILE = {
    "artimSeconds": 30,
    "idleTimeoutSeconds": 60,
    "progressTimeoutSeconds": 30,
    "writeTimeoutSeconds": 30,
    "maxAssociateRequestBytes": 256 * 1024,
    "maxCommandBytes": 64 * 1024,
    "maxIdentifierBytes": 1024 * 1024,
    "queryTimeoutSeconds": 30,
    "maxQueryMatches": 0,
    "fuzzyNamesFor": [],
    "maxSequenceDepth": 64,
    "maxInflatedMegabytes": 64,
    "stopGraceSeconds": 5,
}


@pytest.mark.parametrize("key, default", [*CONTRACT.items(), *HOSTILE.items()])
def test_the_keys_and_defaults_of_the_contract(key, default):
    assert Configuration.model_validate({}).model_dump(by_alias=True)[key] == default


@pytest.mark.parametrize("attribute", Configuration.model_fields)
def test_every_option_is_explained_and_its_default_is_allowed(attribute):
    field = Configuration.model_fields[attribute]
    assert field.description.endswith(".")
    assert len(allowed(attribute)) > 5
    assert Configuration.model_validate({key_of(attribute): field.default}) == Configuration()


@pytest.mark.parametrize("key", KEYS)
def test_an_attribute_is_its_key_in_snake_case(key):
    assert re.fullmatch("[a-z]+([A-Z]+[a-z]*)*", key)
    assert KEYS[key].replace("_", "") == key.lower()


def test_the_sections_begin_at_options():
    assert list(Configuration.model_fields)[0] in SECTIONS
    assert set(SECTIONS) <= set(Configuration.model_fields)


def test_values_come_in_their_normal_form():
    chosen = Configuration.model_validate(
        {
            "aeTitle": " MY_PACS ",
            "databaseURL": "sqlite:////a//b.db",
            "bindAddress": "0:0::1",
            "knownDestinations": {" WS1": {"host": "h", "port": 104, "aeTitle": "WS "}},
        }
    )
    assert (chosen.ae_title, chosen.database_url, chosen.bind_address) == (
        "MY_PACS",
        "sqlite:///a/b.db",
        "::1",
    )
    assert chosen.known_destinations == {"WS1": Destination(host="h", port=104, aeTitle="WS")}


def test_a_configuration_does_not_change():
    with pytest.raises(ValidationError):
        Configuration().port = 104
