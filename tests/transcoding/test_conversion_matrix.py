"""Which transfer syntax goes out as which: every one of PS3.6 as stored, every one as the only one that is accepted."""
from __future__ import annotations

import pytest

from dicomserver.standard.dictionary import uid_dictionary
from dicomserver.standard.transfer_syntaxes import name_of, transfer_syntaxes
from dicomserver.transcoding.choice import choose, is_convertible
from tests.transcoding.datasets import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, UNCOMPRESSED

# What may be sent in another transfer syntax than the one it is stored in.
CONVERTIBLE = {IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN, "1.2.840.10008.1.2.5", *(
    f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203))}
# What goes out only as it is stored, by a word of its name: nothing that we may ship decodes it.
AS_STORED = ("MPEG", "HEVC", "JPIP", "JPEG XL", "SMPTE", "Papyrus", "Encapsulated Uncompressed", "RFC 2557", "XML",
             "Deflated Image Frame", "Multi-component", "Process 3 and 5", "Spectral", "Progression", "Hierarchical")


def names() -> dict[str, str]:
    return {uid: uid_dictionary()[uid][0] for uid in transfer_syntaxes()}


def test_every_syntax_is_in_one_of_the_two_lists() -> None:
    for uid, name in names().items():
        assert is_convertible(uid) is (uid in CONVERTIBLE), name
        assert (uid in CONVERTIBLE) or any(word in name for word in AS_STORED), name


@pytest.mark.parametrize("stored", sorted(transfer_syntaxes()), ids=name_of)
def test_every_cell(stored: str) -> None:
    for accepted in transfer_syntaxes():
        goes = stored == accepted or (stored in CONVERTIBLE and accepted in UNCOMPRESSED)
        assert choose(stored, {accepted}) == (accepted if goes else None)
