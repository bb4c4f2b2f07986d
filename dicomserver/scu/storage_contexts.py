"""Which storage contexts to propose for a C-GET, over whose association the instances come (PS3.4 C.5.3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dicomserver.session.proposal import MOST_CONTEXTS
from dicomserver.standard.dictionary import uid_dictionary
from dicomserver.standard.sop_classes import STORAGE_ROOT, storage_sop_classes
from dicomserver.standard.uids import DEFLATED_EXPLICIT_VR_LE, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE

MOST_STORAGE_CONTEXTS = MOST_CONTEXTS - 1      # one is that of the C-GET itself

# The likeliest first: where there is no room for a context of each, the last ones share one.
TRANSFER_SYNTAXES = (
    EXPLICIT_VR_LE, IMPLICIT_VR_LE,
    "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203",
    DEFLATED_EXPLICIT_VR_LE, EXPLICIT_VR_BE,
    "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101",
    "1.2.840.10008.1.2.4.104", "1.2.840.10008.1.2.4.105", "1.2.840.10008.1.2.4.106", "1.2.840.10008.1.2.4.107",
    "1.2.840.10008.1.2.4.108", "1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93", "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112",
)

# Read as prefixes, the commonest first; what is behind the 127th is for those who know that they need it.
_COMMON = (
    "2", "4", "1", "1.1", "1.2", "6.1", "3.1", "7", "7.1", "7.2", "7.3", "7.4", "12.1", "12.2", "20", "128", "88.",
    "481.", "2.1", "4.", "66", "66.", "11.", "104.", "77.1.", "13.1.", "130", "30", "67", "9.", "1.3",
)


def storage_contexts(sop_classes: Collection[str] = (),
                     transfer_syntax: str | None = None) -> list[tuple[str, Sequence[str]]]:
    """127 contexts at most for these SOP classes, all common ones if none are known.

    transfer_syntax: that alone is proposed. Otherwise every one, in contexts of their own as far as there is room:
    in a context with several the peer chooses one, and would have to convert what it keeps in another.
    """
    chosen = sorted(sop_classes)[:MOST_STORAGE_CONTEXTS] or _common()
    if transfer_syntax:
        return [(sop_class, (transfer_syntax,)) for sop_class in chosen]
    each = min(MOST_STORAGE_CONTEXTS // len(chosen), len(TRANSFER_SYNTAXES))
    alone, shared = TRANSFER_SYNTAXES[:each - 1], TRANSFER_SYNTAXES[each - 1:]
    return [(sop_class, syntaxes) for sop_class in chosen for syntaxes in (*((one,) for one in alone), shared)]


def _common() -> list[str]:
    dictionary = uid_dictionary()
    current = [uid for uid in storage_sop_classes() if "Retired" not in dictionary[uid][3]]
    return sorted(current, key=_rarity)[:MOST_STORAGE_CONTEXTS]


def _rarity(sop_class: str) -> tuple[int, str]:
    number = sop_class.removeprefix(STORAGE_ROOT)
    place = next((place for place, common in enumerate(_COMMON)
                  if number == common or (common.endswith(".") and number.startswith(common))), len(_COMMON))
    return place, sop_class
