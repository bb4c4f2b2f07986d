import pytest

from dicomserver.scu.storage_contexts import MOST_STORAGE_CONTEXTS, TRANSFER_SYNTAXES, storage_contexts
from dicomserver.standard.sop_classes import storage_sop_classes
from dicomserver.standard.transfer_syntaxes import transfer_syntaxes

CT = "1.2.840.10008.5.1.4.1.1.2"


def test_every_syntax_has_its_own_context_where_there_is_room():
    assert storage_contexts([CT]) == [(CT, (syntax,)) for syntax in TRANSFER_SYNTAXES]


@pytest.mark.parametrize("count", [1, 2, 5, 60, 127, 200])
def test_there_is_room_for_the_c_get_and_nothing_is_left_out(count):
    contexts = storage_contexts([f"1.2.{number}" for number in range(count)])
    assert len(contexts) <= MOST_STORAGE_CONTEXTS
    for sop_class in {sop_class for sop_class, _ in contexts}:
        proposed = [syntax for one, syntaxes in contexts if one == sop_class for syntax in syntaxes]
        assert proposed == list(TRANSFER_SYNTAXES)


def test_what_is_common_where_nothing_is_known():
    classes = [sop_class for sop_class, _ in storage_contexts()]
    assert (len(classes), len(set(classes)), classes[0]) == (127, 127, CT)
    assert set(classes) <= storage_sop_classes()
    # ultrasound, reports, radiotherapy, PDF, segmentations
    assert {f"1.2.840.10008.5.1.4.1.1.{one}" for one in ("6.1", "88.67", "481.3", "104.1", "66.4")} <= set(classes)


def test_one_syntax_alone():
    assert storage_contexts([CT, "1.2"], "1.2.840.10008.1.2") == [
        ("1.2", ("1.2.840.10008.1.2",)), (CT, ("1.2.840.10008.1.2",))]


def test_the_syntaxes_exist():
    assert set(TRANSFER_SYNTAXES) <= transfer_syntaxes()
