"""UIDs that are typed."""

from __future__ import annotations

from dicomserver.standard.uids import is_valid_uid


def uid(text: str) -> str:
    """One UID."""
    if not is_valid_uid(text):
        raise ValueError("a UID: digits and single dots, at most 64 characters")
    return text


def transfer_syntax(text: str) -> str:
    """The UID of a transfer syntax that the standard names."""
    from dicomserver.standard.transfer_syntaxes import transfer_syntaxes

    if text not in transfer_syntaxes():
        raise ValueError("the UID of a transfer syntax, such as 1.2.840.10008.1.2.1")
    return text
