"""What waits for a person's decision, as it is listed."""
from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b


class Undecided(Exception):
    """The decision is not possible, or not carried out; the text is one clear line without patient data."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """name: of the file in quarantine, without its ending, or a Study Instance UID.

    since: ISO 8601, UTC, "" if unknown. octets: of the file. has_stored: something has its SOP Instance UID.
    """

    name: str
    kind: str
    since: str = ""
    source_ae: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    reason: str = ""
    octets: int = 0
    has_stored: bool = False

    @property
    def id(self) -> str:
        """Short enough to be typed; the same as long as the conflict is there."""
        return blake2b(self.name.encode("utf_8", "surrogateescape"), digest_size=4).hexdigest()

    def as_json(self) -> dict[str, object]:
        """As the control socket has it."""
        return {"id": self.id, "kind": str(self.kind), "since": self.since, "sourceAE": self.source_ae,
                "sopInstanceUID": self.sop_instance_uid, "studyInstanceUID": self.study_instance_uid,
                "reason": self.reason, "file": f"quarantine/{self.name}.dcm" if self.is_file else "",
                "bytes": self.octets, "hasStored": self.has_stored}

    @property
    def is_file(self) -> bool:
        """Whether it is a file in quarantine; else it is a study."""
        return self.kind != PATIENT


PATIENT = "patient"     # the kind of a study that names several patients
