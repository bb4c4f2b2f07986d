"""Which SOP classes are for storage (PS3.4 B.5, PS3.6 Annex A)."""
from __future__ import annotations

from functools import cache

from dicomserver.standard.dictionary import uid_dictionary

DICOM_ROOT = "1.2.840.10008."
STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."

# "Storage" is in their names, but nobody sends them by C-STORE: DICOMDIR, and the commitment service.
_NOT_FOR_STORAGE = frozenset({"1.2.840.10008.1.3.10", "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.2"})


@cache
def storage_sop_classes() -> frozenset[str]:
    """The UIDs of all storage SOP classes, retired ones too."""
    return frozenset(
        uid for uid, (name, kind, *_) in uid_dictionary().items()
        if kind == "SOP Class" and uid not in _NOT_FOR_STORAGE
        # Two retired storage classes have lost their names in PS3.6.
        and ("Storage" in name or (not name and uid.startswith(STORAGE_ROOT)))
    )


def is_private_uid(uid: str) -> bool:
    """Whether somebody else than DICOM gave this UID out."""
    return not uid.startswith(DICOM_ROOT)


def is_for_storage(uid: str) -> bool:
    """Whether objects of this class may come by C-STORE: the storage classes, and any that PS3.6 does not know."""
    return uid in storage_sop_classes() or uid not in uid_dictionary()
