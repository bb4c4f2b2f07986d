"""The seven PDUs: octet by octet, there and back, cut off, and as pynetdicom reads and writes them."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from pynetdicom import pdu as theirs
from pynetdicom.tests import encoded_pdu_items

from dicomserver.wire.errors import PduError
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import (
    PDV, Abort, AssociateAC, AssociateRJ, AssociateRQ, ContextResult, DataTF, ProposedContext, ReleaseRP, ReleaseRQ,
    UserInformation,
)
from tests.wire.pynetdicom_pdus import as_ours
from tests.wire.samples import PDUS
from tests.wire.strategies import pdus

VECTORS = {name: encode_pdu(pdu) for name, pdu in PDUS.items()}
# Its two with blank AE titles it does not read itself; one has a wrong length field.
VECTORS |= {f"pynetdicom's {name}": value for name, value in vars(encoded_pdu_items).items()
            if name.startswith(("a_associate", "a_release", "a_abort", "a_p_abort", "p_data_tf"))
            and name not in ("a_associate_rq_called", "a_associate_rq_calling", "a_associate_ac_user")}
CLASSES = {1: theirs.A_ASSOCIATE_RQ, 2: theirs.A_ASSOCIATE_AC, 3: theirs.A_ASSOCIATE_RJ, 4: theirs.P_DATA_TF,
           5: theirs.A_RELEASE_RQ, 6: theirs.A_RELEASE_RP, 7: theirs.A_ABORT_RQ}

# PS3.8 Tables 9-11 and 9-13 to 9-15, D.1-1, by hand.
HAND_MADE_RQ = bytes.fromhex(
    "01 00 00000073  0001 0000"
    "50414353202020202020202020202020 5343414e4e4552202020202020202020" + "00" * 32 +
    "10 00 0005 312e322e33"
    "20 00 0016 03 000000  30 00 0005 312e322e34  40 00 0005 312e322e35"
    "50 00 0008 51 00 0004 00004000")
HAND_MADE = {
    "RQ": (HAND_MADE_RQ, AssociateRQ("PACS", "SCANNER", [ProposedContext(3, "1.2.4", ["1.2.5"])],
                                     UserInformation(16384), "1.2.3")),
    "AC": (bytes.fromhex("02 00 0000005e  0001 0000" + "20" * 32 + "00" * 32 +
                         "10 00 0005 312e322e33  21 00 0009 03 00 04 00  40 00 0001 31  50 00 0000"),
           AssociateAC("", "", [ContextResult(3, 4, "1")], UserInformation(), "1.2.3")),
    "RJ": (bytes.fromhex("03 00 00000004 00 01 02 03"), AssociateRJ(1, 2, 3)),
    "P-DATA": (bytes.fromhex("04 00 00000011  00000005 01 03 616263  00000004 01 02 6465"),
               DataTF([PDV(1, 3, b"abc"), PDV(1, 2, b"de")])),
    "RELEASE-RQ": (bytes.fromhex("05 00 00000004 00000000"), ReleaseRQ()),
    "RELEASE-RP": (bytes.fromhex("06 00 00000004 00000000"), ReleaseRP()),
    "ABORT": (bytes.fromhex("07 00 00000004 00 00 02 06"), Abort(2, 6)),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_octets_are_those_of_the_standard(name: str) -> None:
    octets, value = HAND_MADE[name]
    assert decode_pdu(octets) == value
    assert encode_pdu(value) == octets


@pytest.mark.parametrize("name", PDUS)
def test_samples_come_back(name: str) -> None:
    assert decode_pdu(VECTORS[name]) == PDUS[name]


@settings(max_examples=400, deadline=None)
@given(pdus(strange=True))
def test_what_was_encoded_comes_back(pdu: object) -> None:
    octets = encode_pdu(pdu)
    assert decode_pdu(octets) == pdu
    assert decode_pdu(memoryview(bytearray(octets))) == pdu


@settings(max_examples=300, deadline=None)
@given(pdus(strange=False))
def test_pynetdicom_reads_ours_and_we_read_its(pdu: object) -> None:
    octets = encode_pdu(pdu)
    oracle = CLASSES[octets[0]]()
    oracle.decode(octets)
    assert as_ours(oracle) == pdu
    assert decode_pdu(oracle.encode()) == pdu


@pytest.mark.parametrize("name", [name for name in VECTORS if name.startswith("pynetdicom")])
def test_vectors_of_pynetdicom_mean_the_same_to_us(name: str) -> None:
    oracle = CLASSES[VECTORS[name][0]]()
    oracle.decode(VECTORS[name])
    assert decode_pdu(VECTORS[name]) == as_ours(oracle)


def cuts(octets: bytes) -> list[int]:
    """Every length below the whole one; of the largest vector, the first and the last thousand."""
    return [length for length in range(len(octets)) if length < 1000 or len(octets) - length <= 1000]


@pytest.mark.parametrize("name", VECTORS)
def test_cut_off_anywhere_is_an_error(name: str) -> None:
    for length in cuts(VECTORS[name]):
        with pytest.raises(PduError):
            decode_pdu(VECTORS[name][:length])


@pytest.mark.parametrize("name", VECTORS)
def test_cut_off_with_the_right_length_field_is_an_error_or_a_pdu(name: str) -> None:
    """A peer can cut between items, too: then what is left must still be sound, and never anything but a PduError."""
    octets = VECTORS[name]
    sound = 0
    for length in cuts(octets)[6:]:
        cut = octets[:2] + struct.pack(">I", length - 6) + octets[6:length]
        try:
            encode_pdu(decode_pdu(cut))
            sound += 1
        except PduError as error:
            assert 0 <= error.offset <= length
    assert sound < len(cuts(octets)) // 4


@pytest.mark.parametrize("name", VECTORS)
def test_bytes_behind_the_end_are_an_error(name: str) -> None:
    with pytest.raises(PduError) as error:
        decode_pdu(VECTORS[name] + b"\0")
    assert error.value.field == "PDU length"


@pytest.mark.parametrize("name", VECTORS)
def test_reserved_octets_are_not_tested(name: str) -> None:
    octets = bytearray(VECTORS[name])
    octets[1] = 0xFF
    if octets[0] in (1, 2):
        octets[8:10] = b"\xff\xff"
        octets[42:74] = b"\xff" * 32
    if octets[0] in (3, 5, 6, 7):
        octets[6] = 0xFF
    assert decode_pdu(octets) == decode_pdu(VECTORS[name])


def test_blank_titles_are_for_the_negotiation_to_refuse() -> None:
    blank = decode_pdu(encoded_pdu_items.a_associate_rq_called)
    assert (blank.called_ae_title, blank.calling_ae_title != "") == ("", True)


def test_nothing_of_the_buffer_is_kept() -> None:
    buffer = bytearray(VECTORS["P-DATA"])
    pdu = decode_pdu(buffer)
    buffer.clear()          # an exported buffer could not be resized
    assert pdu == PDUS["P-DATA"]


@pytest.mark.parametrize("what", [None, 5, "text"])
def test_what_is_no_buffer_is_a_type_error(what: object) -> None:
    with pytest.raises(TypeError):
        decode_pdu(what)
    with pytest.raises(TypeError):
        encode_pdu(what)


@pytest.mark.parametrize("pdu, field", [
    (AssociateRQ("A" * 17, "B", [ProposedContext(1, "1", ["1"])]), "called AE title"),
    (AssociateRQ("A", "Ā", [ProposedContext(1, "1", ["1"])]), "calling AE title"),
    (AssociateRQ(None, "B", []), "called AE title"),
    (AssociateRQ("A", "B", [ProposedContext(256, "1", ["1"])]), "presentation context id"),
    (AssociateRQ("A", "B", [ProposedContext(1, "é", ["1"])]), "abstract syntax name"),
    (AssociateRQ("A", "B", [ProposedContext(1, "1", ["1"] * 20000)]), "presentation context"),
    (AssociateRQ("A", "B", [], application_context="1" * 65536), "application context name"),
    (AssociateAC("A", "B", [ContextResult(1, -1, "1")]), "result"),
    (AssociateRQ("A", "B", [], protocol_version=65536), "protocol version"),
    (AssociateRJ(1, 2, 300), "reason"),
    (Abort("2", 0), "source"),
    (DataTF([]), "PDV"),
    (DataTF([PDV(1, 0, "text")]), "fragment"),
], ids=str)
def test_what_no_pdu_can_say_is_an_error(pdu: object, field: str) -> None:
    with pytest.raises(PduError) as error:
        encode_pdu(pdu)
    assert error.value.field == field
