"""The status (0000,0900) of a DIMSE response: PS3.7 Annex C, PS3.4 B.2.3, C.4 and J."""
from __future__ import annotations

from enum import Enum

SUCCESS = 0x0000
PENDING = 0xFF00
PENDING_SOME_KEYS_UNSUPPORTED = 0xFF01
CANCEL = 0xFE00

# PS3.7 Annex C: of every service
ATTRIBUTE_LIST_ERROR = 0x0107
ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
SOP_CLASS_NOT_SUPPORTED = 0x0122
CLASS_INSTANCE_CONFLICT = 0x0119
DUPLICATE_SOP_INSTANCE = 0x0111
DUPLICATE_INVOCATION = 0x0210
INVALID_ARGUMENT_VALUE = 0x0115
INVALID_ATTRIBUTE_VALUE = 0x0106
INVALID_OBJECT_INSTANCE = 0x0117
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
MISTYPED_ARGUMENT = 0x0212
NO_SUCH_ACTION = 0x0123
NO_SUCH_ARGUMENT = 0x0114
NO_SUCH_ATTRIBUTE = 0x0105
NO_SUCH_EVENT_TYPE = 0x0113
NO_SUCH_SOP_CLASS = 0x0118
NO_SUCH_SOP_INSTANCE = 0x0112
NOT_AUTHORISED = 0x0124
PROCESSING_FAILURE = 0x0110
RESOURCE_LIMITATION = 0x0213
UNRECOGNISED_OPERATION = 0x0211

# PS3.4 B.2.3 and C.4: storage, query, retrieval
REFUSED_OUT_OF_RESOURCES = 0xA700
REFUSED_CANNOT_COUNT_MATCHES = 0xA701
REFUSED_CANNOT_PERFORM_SUBOPERATIONS = 0xA702
REFUSED_MOVE_DESTINATION_UNKNOWN = 0xA801
DATASET_MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
COERCION_OF_ELEMENTS = 0xB000
ELEMENTS_DISCARDED = 0xB006
DATASET_MISMATCH_WARNING = 0xB007
SUBOPERATIONS_COMPLETE_WITH_FAILURES = 0xB000

# PS3.4 J.3.3.1.1: the failure reason of a storage commitment
DUPLICATE_TRANSACTION_UID = 0x0131


class Category(Enum):
    """What a status means to the one who asked (PS3.7 C)."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    CANCEL = "cancel"
    PENDING = "pending"


def category(status: int) -> Category:
    """The kind of `status`; what the standard does not list is a failure."""
    if status == SUCCESS:
        return Category.SUCCESS
    if status in (PENDING, PENDING_SOME_KEYS_UNSUPPORTED):
        return Category.PENDING
    if status == CANCEL:
        return Category.CANCEL
    if status in (0x0001, ATTRIBUTE_LIST_ERROR, ATTRIBUTE_VALUE_OUT_OF_RANGE) or 0xB000 <= status <= 0xBFFF:
        return Category.WARNING
    return Category.FAILURE


def may_pass(status: int) -> bool:
    """Whether the same request may do better later: the peer lacked resources."""
    return 0xA700 <= status <= 0xA7FF or status == RESOURCE_LIMITATION
