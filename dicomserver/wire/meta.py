"""The file meta information of a Part 10 file as a value; dicomserver.wire.part10 reads and writes it."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class FileMeta:
    """What the meta header says (PS3.10 7.1); '' where it says nothing."""

    sop_class_uid: str              # (0002,0002)
    sop_instance_uid: str           # (0002,0003)
    transfer_syntax_uid: str        # (0002,0010); never empty
    source_ae: str                  # (0002,0016) who made the file's content
    sending_ae: str                 # (0002,0017) who sent it to us
    receiving_ae: str               # (0002,0018) under which title we took it
    received_at: str                # (0002,0102) a DT, if the file is one of ours
    dataset_offset: int             # where the dataset begins, counted from the begin of the file
