"""UIDs that the protocol itself names, and ours."""
from __future__ import annotations

import re

from dicomserver import __version__

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT_PUSH_MODEL = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"      # the well-known one
IMPLICIT_VR_LE = "1.2.840.10008.1.2"
EXPLICIT_VR_LE = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BE = "1.2.840.10008.1.2.2"

# Fixed for ever: rebuilt indexes know by it which meta headers are ours (PS3.5 B.2: 2.25 and a UUID as a number).
IMPLEMENTATION_CLASS_UID = "2.25.291205709246049752282222423494014777625"
IMPLEMENTATION_VERSION_NAME = f"DCMSERVER_{__version__}"[:16]

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)


def is_valid_uid(text: str) -> bool:
    """Whether `text` is a UID (PS3.5 9.1) that may become part of a path.

    ASCII digits and single dots, 1 to 64 characters, no empty component. Leading zeros are forbidden by the
    standard but sent by devices in the field, and do no harm: they pass.
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None
