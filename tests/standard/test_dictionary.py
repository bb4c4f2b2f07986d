"""The tables are pydicom's own, had without pydicom."""
from __future__ import annotations

import subprocess
import sys

from pydicom import _uid_dict, datadict
from pynetdicom import sop_class

from dicomserver.standard import dictionary
from dicomserver.standard.dictionary import data_dictionary, repeating_groups, uid_dictionary


def test_the_tables_are_those_of_pydicom_and_what_came_since() -> None:
    # pynetdicom, where it is imported, brings some of them up to date.
    assert uid_dictionary().items() >= _uid_dict.UID_dictionary.items()
    since = uid_dictionary().keys() - _uid_dict.UID_dictionary.keys()
    assert {uid_dictionary()[uid][1] for uid in since} <= {"SOP Class", "Transfer Syntax"}
    assert data_dictionary() == datadict.DicomDictionary


def test_what_came_since_is_as_pynetdicom_has_it() -> None:
    for keyword in ("WaveformPresentationStateStorage", "WaveformAcquisitionPresentationStateStorage",
                    "LabelMapSegmentationStorage", "HeightMapSegmentationStorage"):
        assert uid_dictionary()[str(getattr(sop_class, keyword))][4] == keyword


def test_repeating_groups_are_those_of_pydicom() -> None:
    rows = repeating_groups()
    assert len(rows) == len(datadict.RepeatersDictionary)
    for mask, tag, vr in rows:
        assert datadict.dictionary_VR(tag | 0x1E_1111 & ~mask & 0xFFFFFFFF) == vr or datadict.dictionary_VR(tag) == vr


def test_what_is_cached_is_one_object() -> None:
    assert uid_dictionary() is uid_dictionary()


def test_the_facts_do_not_import_pydicom() -> None:
    """It would cost a server 0.1 s and 20 MB."""
    program = ("import sys;"
               "from dicomserver.standard import attributes, sop_classes, statuses, transfer_syntaxes, uids;"
               "sop_classes.storage_sop_classes(); transfer_syntaxes.transfer_syntaxes();"
               "sys.exit('pydicom' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_a_uid_has_a_name_or_is_its_own():
    assert dictionary.uid_name("1.2.840.10008.1.2") == "Implicit VR Little Endian"
    assert dictionary.uid_name("1.2.3") == "1.2.3"
