"""Files from a C-GET: names, headers, and what a peer must not be able to do. tests/scu/test_retrieve.py has more."""

import os

import pydicom
import pytest

from dicomserver.scu.reception import Reception
from dicomserver.scu.retrieve import associate_to_get, get
from dicomserver.scu.selection import Selection
from dicomserver.scu.storage_contexts import storage_contexts
from tests.scu.scp import STUDY, instance

CT = "1.2.840.10008.5.1.4.1.1.2"


def received(server, folder, **settings):
    found = []
    with associate_to_get(server.peer, storage_contexts([CT])) as association:
        reception = Reception(str(folder), titles=("TEST_SCU", "MY_PACS"), **{"is_tree": False} | settings)
        get(association, Selection(STUDY), reception, received=found.append)
    return found


def test_a_tree_of_studies_and_series(scp, tmp_path):
    received(scp(kept=[instance(1), instance(2, series=2)]), tmp_path, is_tree=True)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.dcm")) == [
        f"{STUDY}/{STUDY}.1/{STUDY}.1.1.dcm", f"{STUDY}/{STUDY}.2/{STUDY}.2.2.dcm"]


def test_the_header(scp, tmp_path):
    one, = received(scp(kept=[instance()]), tmp_path)
    read = pydicom.dcmread(one.path)
    assert read.preamble == bytes(128)
    meta = read.file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (CT, read.SOPInstanceUID)
    assert (meta.SendingApplicationEntityTitle, meta.ReceivingApplicationEntityTitle) == ("MY_PACS", "TEST_SCU")
    assert meta.FileMetaInformationGroupLength


def test_the_users_umask_holds(scp, tmp_path):
    before = os.umask(0o027)
    try:
        one, = received(scp(kept=[instance()]), tmp_path)
    finally:
        os.umask(before)
    assert os.stat(one.path).st_mode & 0o777 == 0o640


def test_a_file_of_that_name_is_replaced_when_the_new_one_is_complete(scp, tmp_path):
    path = tmp_path / f"{STUDY}.1.1.dcm"
    path.write_text("old")
    one, = received(scp(kept=[instance()]), tmp_path)
    assert one.path == str(path)
    assert pydicom.dcmread(path).PatientID == "P1"
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.parametrize("uid", ["../1", "..", "/etc/x", "1..2", "a"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_path_from_a_peer(uid, scp, tmp_path):
    bad = instance()
    bad.SOPInstanceUID = uid
    folder = tmp_path / "in"
    folder.mkdir()
    server = scp(kept=[bad])
    server.matching = lambda identifier: server.kept
    for one in received(server, folder, is_tree=True):
        assert one.path == ""
    assert [path for path in tmp_path.rglob("*") if path != folder] == []
