from dicomserver.scu.selection import Catalogue, Selection, sop_classes_if_told
from dicomserver.standard.attributes import Level
from tests.scu.scp import STUDY, instance

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"


def test_levels_and_keys():
    assert Selection("1").level is Level.STUDY
    assert Selection("1", "2").level is Level.SERIES
    assert Selection("1", "2", "3").level is Level.INSTANCE
    assert [key.value for key in Selection("1", "2", "3").keys] == ["1", "2", "3"]
    assert [key.tag for key in Selection("1").keys] == [0x0020000D]


def test_the_series_of_a_study(scp):
    server = scp(kept=[instance(number, series=number % 3 + 1) for number in range(6)])
    catalogue = Catalogue(server.peer)
    assert sorted(catalogue.series_of(Selection(STUDY)), key=str) == [
        Selection(STUDY, f"{STUDY}.{number}") for number in (1, 2, 3)]
    assert catalogue.series_of(Selection(STUDY, "1.2")) == [Selection(STUDY, "1.2")]
    assert catalogue.series_of(Selection("1.9")) == []


def test_sop_classes_where_the_server_keeps_them_by_study(scp):
    one = instance()
    one.SOPClassesInStudy = [CT, SR]
    server = scp(kept=[one])
    assert Catalogue(server.peer).sop_classes([STUDY, STUDY]) == {STUDY: {CT, SR}}
    assert len(server.seen) == 1


def test_sop_classes_from_the_instances(scp):
    assert Catalogue(scp(kept=[instance()]).peer).sop_classes([STUDY]) == {STUDY: {CT}}


def test_a_server_without_queries_is_no_obstacle(scp):
    assert sop_classes_if_told(scp(qr=False).peer, [STUDY]) == {}
