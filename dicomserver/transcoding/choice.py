"""Which transfer syntax an instance is sent in, where its receiver does not accept the one it is stored in."""
from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from dicomserver.standard.uids import DEFLATED_EXPLICIT_VR_LE, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from dicomserver.transcoding.decoding import COMPRESSED

# In the order of preference: what is read without a dictionary first, what costs the receiver work last.
UNCOMPRESSED = (EXPLICIT_VR_LE, IMPLICIT_VR_LE, DEFLATED_EXPLICIT_VR_LE, EXPLICIT_VR_BE)
# What every receiver of uncompressed objects should know (PS3.5 10.1), and so what is proposed to him.
_COMMON = (EXPLICIT_VR_LE, IMPLICIT_VR_LE)


def is_convertible(stored: str) -> bool:
    """Whether we can give a dataset of this transfer syntax in another one."""
    return stored in UNCOMPRESSED or stored in COMPRESSED


def choose(stored: str, accepted: Container[str]) -> str | None:
    """The transfer syntax to send in: the stored one if it is accepted; None: none will do."""
    if stored in accepted:
        return stored
    if not is_convertible(stored):
        return None
    return next((syntax for syntax in UNCOMPRESSED if syntax in accepted), None)


def fallback(stored: Iterable[str]) -> Sequence[str]:
    """What to propose beside the syntaxes in which instances of one SOP class are stored; may be empty."""
    syntaxes = set(stored)
    if not any(map(is_convertible, syntaxes)):
        return ()
    return [syntax for syntax in _COMMON if syntax not in syntaxes]
