"""The user information item: octet by octet, and what an encoder refuses."""
from __future__ import annotations

import pytest

from dicomserver.wire.errors import PduError
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import (
    AssociateAC, AssociateRQ, CommonExtendedNegotiation, ExtendedNegotiation, ProposedContext, RoleSelection,
    UserIdentityAC, UserIdentityRQ, UserInformation,
)

UID = "312e322e33"      # 1.2.3

# PS3.8 Table D.1-1; PS3.7 Tables D.3-1, -3, -7, -9, -11, -12 with -13, -14, -15.
SUB_ITEMS = {
    "51 00 0004 00010000": UserInformation(maximum_length=65536),
    f"52 00 0005 {UID}": UserInformation(implementation_class_uid="1.2.3"),
    "55 00 0003 562031": UserInformation(implementation_version_name="V 1"),
    "53 00 0004 0003 0004": UserInformation(asynchronous_operations_window=(3, 4)),
    f"54 00 0009 0005 {UID} 01 00": UserInformation(role_selections=[RoleSelection("1.2.3", True, False)]),
    f"56 00 0009 0005 {UID} 0102": UserInformation(extended_negotiations=[ExtendedNegotiation("1.2.3", b"\1\2")]),
    f"57 00 0018 0005 {UID} 0003 312e34 000a 0003 312e35 0003 312e36": UserInformation(
        common_extended_negotiations=[CommonExtendedNegotiation("1.2.3", "1.4", ["1.5", "1.6"])]),
    "58 00 000b 02 01 0002 6162 0003 636465": UserInformation(user_identity=UserIdentityRQ(2, True, b"ab", b"cde")),
    "59 00 0004 0002 6162": UserInformation(user_identity=UserIdentityAC(b"ab")),
    "60 00 0002 6162": UserInformation(unknown=[(0x60, b"ab")]),
    "": UserInformation(),
}


@pytest.mark.parametrize("octets", SUB_ITEMS)
def test_octets_are_those_of_the_standard(octets: str) -> None:
    information = SUB_ITEMS[octets]
    content = bytes.fromhex(octets)
    if isinstance(information.user_identity, UserIdentityAC):
        pdu = AssociateAC("A", "B", [], information)
    else:
        pdu = AssociateRQ("A", "B", [ProposedContext(1, "1.2", ["1.3"])], information)
    encoded = encode_pdu(pdu)
    assert encoded.endswith(b"\x50\0" + len(content).to_bytes(2, "big") + content)
    assert decode_pdu(encoded).user_information == information


def test_octets_behind_the_related_classes_are_reserved() -> None:
    """PS3.7 Table D.3-12 ends with them."""
    content = bytes.fromhex(f"57 00 000e 0005 {UID} 0001 31 0000 ffff")
    encoded = bytearray(encode_pdu(AssociateRQ("A", "B", [ProposedContext(1, "1.2", ["1.3"])])))
    encoded[5] += len(content)
    encoded[-1] += len(content)
    read = decode_pdu(bytes(encoded) + content)
    assert read.user_information.common_extended_negotiations == [CommonExtendedNegotiation("1.2.3", "1", [])]


@pytest.mark.parametrize("information, field", [
    (UserInformation(maximum_length=-1), "maximum length"),
    (UserInformation(maximum_length=1 << 32), "maximum length"),
    (UserInformation(implementation_class_uid="1" * 65), "implementation class UID"),
    (UserInformation(implementation_class_uid="é"), "implementation class UID"),
    (UserInformation(implementation_version_name="€"), "implementation version name"),
    (UserInformation(asynchronous_operations_window=(0, 65536)), "asynchronous operations window"),
    (UserInformation(role_selections=[RoleSelection(None, True, True)]), "SOP class UID"),
    (UserInformation(role_selections=[RoleSelection("1" * 65530, True, True)] * 2), "user information"),
    (UserInformation(extended_negotiations=[ExtendedNegotiation("1", b"x" * 65533)]), "SOP class extended negotiation"),
    (UserInformation(common_extended_negotiations=[CommonExtendedNegotiation("1", "1", ["1.2"] * 14000)]),
     "related general SOP classes"),
    (UserInformation(user_identity=UserIdentityRQ(256, False, b"")), "user identity type"),
    (UserInformation(user_identity=UserIdentityRQ(1, False, "text")), "primary field"),
    (UserInformation(user_identity=UserIdentityAC(b"x" * 65536)), "server response"),
    (UserInformation(unknown=[(256, b"")]), "item type"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_no_item_can_say_is_an_error(information: UserInformation, field: str) -> None:
    with pytest.raises(PduError) as error:
        encode_pdu(AssociateRQ("A", "B", [ProposedContext(1, "1.2", ["1.3"])], information))
    assert error.value.field == field
