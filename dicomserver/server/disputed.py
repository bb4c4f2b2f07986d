"""Studies that name several patients, and what a person decides on them: both are right, or something is deleted."""
from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from dicomserver.index import Index
from dicomserver.server.conflict import PATIENT, Conflict, Undecided


class DisputedStudies:
    """The conflicts that are studies. Raises IndexFault, and Undecided, whose text has no patient data."""

    def __init__(self, index: Index, log: logging.Logger) -> None:
        self._index = index
        self._log = log

    def conflicts(self) -> Iterator[Conflict]:
        """All of them."""
        for study in self._index.other_patients.disputed():
            since = datetime.fromtimestamp(study.received_at / 1_000_000, UTC).isoformat()
            yield Conflict(
                name=study.study_instance_uid, kind=PATIENT, since=since, source_ae=study.source_ae,
                sop_instance_uid=study.sop_instance_uid, study_instance_uid=study.study_instance_uid,
                reason="the study names several patients, or its patient is another one elsewhere", has_stored=True)

    def count(self) -> int:
        """How many wait for a decision."""
        return self._index.other_patients.count()

    def show(self, conflict: Conflict) -> dict:
        """{"study": whom its first instance names, "patient": whom other studies with that Patient ID do, if somebody
        else, "others": [{…, "instances": [SOP Instance UID]}]}: whom further instances name. It names patients."""
        found = self._index.other_patients.of(conflict.name)
        if found is None:
            raise Undecided("the study was deleted meanwhile")
        shown: dict = {"study": found.study.as_json()}
        if found.patient != found.study:
            shown["patient"] = found.patient.as_json()
        shown["others"] = [other.as_json() | {"instances": uids} for other, uids in found.others.items()]
        return shown

    def accept(self, conflict: Conflict) -> str:
        """All of its names are right, here and in other studies of the patient; -> what was done, in words."""
        accepted = self._index.other_patients.accept(conflict.name)
        self._log.info("a study that names several patients was accepted as it is")
        self._log.debug("the accepted study is %s", conflict.name)
        return f"what its instances say of the patient counts as right ({accepted} differ)"

    def reject(self, conflict: Conflict) -> str:
        """Not possible."""
        raise Undecided("a stored study cannot be rejected: `dicom-server delete --instance UID` (--series, --study) "
                        "deletes what does not belong into it, `dicom-server conflicts show` says what that is")
