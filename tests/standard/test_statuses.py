"""What a status means, as pynetdicom says."""
from __future__ import annotations

import pytest
from pynetdicom.status import (
    GENERAL_STATUS, QR_MOVE_SERVICE_CLASS_STATUS, STORAGE_SERVICE_CLASS_STATUS, code_to_category,
)

from dicomserver.standard import statuses
from dicomserver.standard.statuses import Category, category

CODES = {name: value for name, value in vars(statuses).items() if name.isupper() and isinstance(value, int)}


def test_categories_are_as_pynetdicom_says() -> None:
    warnings = {0x0107, 0x0116}         # PS3.7 C.4; pynetdicom goes by the range
    for status in {*GENERAL_STATUS, *STORAGE_SERVICE_CLASS_STATUS, 0xFF00, 0xFE00} - warnings:
        assert category(status) is Category[code_to_category(status).upper()], f"{status:04X}"
    assert {category(status) for status in warnings} == {Category.WARNING}


@pytest.mark.parametrize("status, expected", [
    (statuses.SUCCESS, Category.SUCCESS), (statuses.COERCION_OF_ELEMENTS, Category.WARNING),
    (statuses.ELEMENTS_DISCARDED, Category.WARNING), (statuses.DATASET_MISMATCH_WARNING, Category.WARNING),
    (statuses.REFUSED_OUT_OF_RESOURCES, Category.FAILURE), (statuses.DATASET_MISMATCH, Category.FAILURE),
    (statuses.CANNOT_UNDERSTAND, Category.FAILURE), (0xC123, Category.FAILURE), (0x4242, Category.FAILURE),
    (statuses.PENDING, Category.PENDING), (statuses.CANCEL, Category.CANCEL),
])
def test_category(status: int, expected: Category) -> None:
    assert category(status) is expected


def test_the_codes_of_annex_c_are_those_of_the_standard() -> None:
    general = {value for value in CODES.values() if 0 < value < 0x0300} - {statuses.DUPLICATE_TRANSACTION_UID}
    assert general <= set(GENERAL_STATUS)
    assert {statuses.REFUSED_MOVE_DESTINATION_UNKNOWN, statuses.REFUSED_CANNOT_COUNT_MATCHES,
            statuses.REFUSED_CANNOT_PERFORM_SUBOPERATIONS} <= set(QR_MOVE_SERVICE_CLASS_STATUS)
    assert {statuses.REFUSED_OUT_OF_RESOURCES, statuses.DATASET_MISMATCH, statuses.CANNOT_UNDERSTAND,
            statuses.COERCION_OF_ELEMENTS} <= set(STORAGE_SERVICE_CLASS_STATUS)


def test_a_lack_of_resources_may_pass():
    assert all(map(statuses.may_pass, (0xA700, 0xA701, 0x0213)))
    assert not any(map(statuses.may_pass, (0x0000, 0xA900, 0xC000, 0x0122, 0xB000)))
