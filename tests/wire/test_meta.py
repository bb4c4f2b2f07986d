"""A file's meta information as a value."""
from __future__ import annotations

import dataclasses

from dicomserver.wire.meta import FileMeta
from dicomserver.wire.part10 import decode_file_meta
from tests.wire.samples import CT, EXPLICIT, INSTANCE, METAS


def test_each_field_is_its_own_element() -> None:
    assert dataclasses.asdict(decode_file_meta(METAS["whole"])) == {
        "sop_class_uid": CT, "sop_instance_uid": INSTANCE, "transfer_syntax_uid": EXPLICIT, "source_ae": "SCANNER",
        "sending_ae": "SENDER", "receiving_ae": "PACS", "received_at": "20260102030405.678901+0100",
        "dataset_offset": len(METAS["whole"]),
    }


def test_files_compare_by_what_they_say() -> None:
    one = FileMeta("1", "2", "3", "", "", "", "", 200)
    assert one == FileMeta("1", "2", "3", "", "", "", "", 200) != FileMeta("1", "2", "3", "", "", "", "", 202)
