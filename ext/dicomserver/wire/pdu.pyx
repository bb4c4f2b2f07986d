"""The upper layer PDUs, PS3.8 9.3: `decode_pdu`, `encode_pdu`. What a value may be is in dicomserver.wire.pdus.

Every PDU: 1 type, 2 reserved, 3-6 length of the rest. All numbers are big-endian. Reserved fields are sent as zero
and never tested; items of unknown type are skipped (9.3.1). Work and memory are linear in the bytes that are there.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from dicomserver.wire.cursor cimport (Cursor, ascii_text, copied, cursor_over, fail, finished, latin1_text, left, part,
                                      take, u8, u16be, u32be)
from dicomserver.wire.octets cimport (Octets, close_u16be, octets_bytes, octets_free, octets_new, put_content,
                                      put_fill, put_text, put_u8, put_u16be, put_u32be, set_u32be, within)
from dicomserver.wire.user_information cimport next_item, open_item, put_user_information, read_user_information

from dicomserver.wire.errors import REASON_UNEXPECTED_PARAMETER, REASON_UNRECOGNIZED_PDU, PduError
from dicomserver.wire.pdus import (PDV, Abort, AssociateAC, AssociateRJ, AssociateRQ, ContextResult, DataTF,
                                   ProposedContext, ReleaseRP, ReleaseRQ, UserInformation)

cdef int UNRECOGNIZED_PDU = REASON_UNRECOGNIZED_PDU
cdef int UNEXPECTED_PARAMETER = REASON_UNEXPECTED_PARAMETER

cdef enum:
    A_ASSOCIATE_RQ = 0x01
    A_ASSOCIATE_AC = 0x02
    A_ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    A_RELEASE_RQ = 0x05
    A_RELEASE_RP = 0x06
    A_ABORT = 0x07

    APPLICATION_CONTEXT = 0x10
    PROPOSED_CONTEXT = 0x20
    CONTEXT_RESULT = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    USER_IDENTITY_RQ = 0x58
    USER_IDENTITY_AC = 0x59


def decode_pdu(buffer):
    """The PDU in `buffer`: one whole PDU from its type to its end, and nothing behind it.

    -> a value of dicomserver.wire.pdus; raises PduError with the reason for an A-ABORT. Keeps nothing of the buffer.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        return read_pdu(<const unsigned char *>view.buf, <uint64_t>view.len)
    finally:
        PyBuffer_Release(&view)


cdef object read_pdu(const unsigned char *data, uint64_t length):
    cdef Cursor cursor = cursor_over(data, length, PduError)
    cdef uint8_t kind = u8(&cursor, "PDU type")
    if not A_ASSOCIATE_RQ <= kind <= A_ABORT:
        fail(&cursor, "PDU type", data, "is not one of the seven", UNRECOGNIZED_PDU)
    take(&cursor, 1, "reserved")
    if u32be(&cursor, "PDU length") != left(&cursor):
        fail(&cursor, "PDU length", data + 2, "is not the length of what follows")
    if kind == P_DATA_TF:
        return read_data(&cursor)
    if kind == A_ASSOCIATE_RQ or kind == A_ASSOCIATE_AC:
        return read_associate(&cursor, kind)
    return read_short(&cursor, kind)


cdef object read_short(Cursor *cursor, int kind):
    # RJ, Tables 9-21:     7 reserved, 8 result, 9 source, 10 reason
    # RELEASE, 9-24, 9-25: 7-10 reserved
    # ABORT, 9-26:         7-8 reserved, 9 source, 10 reason
    cdef const unsigned char *field = take(cursor, 4, "PDU")
    finished(cursor, "PDU")
    if kind == A_ASSOCIATE_RJ:
        return AssociateRJ(field[1], field[2], field[3])
    if kind == A_ABORT:
        return Abort(field[2], field[3])
    return ReleaseRQ() if kind == A_RELEASE_RQ else ReleaseRP()


cdef object read_data(Cursor *cursor):
    # Tables 9-22, 9-23 and Annex E, each item: 1-4 length of the rest, 5 context, 6 control header, 7-xxx fragment
    cdef Cursor item
    cdef uint8_t context, control
    pdvs = []
    while left(cursor):
        part(cursor, &item, u32be(cursor, "PDV length"), "PDV")
        context = u8(&item, "presentation context id")
        control = u8(&item, "message control header")
        pdvs.append(PDV(context, control, copied(&item, left(&item), "fragment")))
    if not pdvs:
        fail(cursor, "PDV", cursor.pos, "is missing")
    return DataTF(pdvs)


cdef object read_associate(Cursor *cursor, int kind):
    # Tables 9-11, 9-17: 7-8 protocol version, 9-10 reserved, 11-26 called AE title, 27-42 calling AE title,
    # 43-74 reserved, 75-xxx items: one application context, presentation contexts, one user information
    cdef Cursor item
    cdef int item_kind
    cdef const unsigned char *at
    cdef unsigned char seen[256]        # context ids
    memset(seen, 0, sizeof(seen))
    version = u16be(cursor, "protocol version")
    take(cursor, 2, "reserved")
    called = latin1_text(cursor, 16, "called AE title")
    calling = latin1_text(cursor, 16, "calling AE title")
    take(cursor, 32, "reserved")
    application_context = information = None
    contexts = []
    while left(cursor):
        at = cursor.pos
        item_kind = next_item(cursor, &item)
        if item_kind == APPLICATION_CONTEXT:
            if application_context is not None:
                fail(cursor, "application context", at, "comes twice", UNEXPECTED_PARAMETER)
            application_context = ascii_text(&item, left(&item), "application context name")
        elif item_kind == PROPOSED_CONTEXT and kind == A_ASSOCIATE_RQ:
            contexts.append(read_proposed_context(&item, seen))
        elif item_kind == CONTEXT_RESULT and kind == A_ASSOCIATE_AC:
            contexts.append(read_context_result(&item, seen))
        elif item_kind == USER_INFORMATION:
            if information is not None:
                fail(cursor, "user information", at, "comes twice", UNEXPECTED_PARAMETER)
            information = read_user_information(
                &item, USER_IDENTITY_RQ if kind == A_ASSOCIATE_RQ else USER_IDENTITY_AC)
    if kind == A_ASSOCIATE_RQ and not contexts:
        fail(cursor, "presentation context", cursor.pos, "is missing")
    return (AssociateRQ if kind == A_ASSOCIATE_RQ else AssociateAC)(
        called, calling, contexts, UserInformation() if information is None else information,
        application_context or "", version)


cdef uint8_t read_context_id(Cursor *item, unsigned char *seen) except 0:
    cdef const unsigned char *at = item.pos
    cdef uint8_t context = u8(item, "presentation context id")
    if context % 2 == 0:
        fail(item, "presentation context id", at, "is even")
    if seen[context]:
        fail(item, "presentation context id", at, "comes twice")
    seen[context] = 1
    return context


cdef object read_proposed_context(Cursor *item, unsigned char *seen):
    # Table 9-13: 5 id, 6-8 reserved, 9-xxx one abstract syntax (9-14), one or more transfer syntaxes (9-15)
    cdef Cursor sub
    cdef const unsigned char *at = item.pos
    cdef uint8_t context = read_context_id(item, seen)
    cdef int kind
    take(item, 3, "reserved")
    abstract_syntax = None
    transfer_syntaxes = []
    while left(item):
        kind = next_item(item, &sub)
        if kind == ABSTRACT_SYNTAX:
            if abstract_syntax is not None:
                fail(item, "abstract syntax", at, "comes twice in a context")
            abstract_syntax = ascii_text(&sub, left(&sub), "abstract syntax name")
        elif kind == TRANSFER_SYNTAX:
            transfer_syntaxes.append(ascii_text(&sub, left(&sub), "transfer syntax name"))
    if not abstract_syntax:
        fail(item, "abstract syntax", at, "is missing in a context")
    if not transfer_syntaxes or "" in transfer_syntaxes:
        fail(item, "transfer syntax", at, "is missing in a context")
    return ProposedContext(context, abstract_syntax, transfer_syntaxes)


cdef object read_context_result(Cursor *item, unsigned char *seen):
    # Table 9-18: 5 id, 6 reserved, 7 result, 8 reserved, 9-xxx one transfer syntax; not tested unless accepted
    cdef Cursor sub
    cdef const unsigned char *at = item.pos
    cdef uint8_t context = read_context_id(item, seen), result
    take(item, 1, "reserved")
    result = u8(item, "result")
    take(item, 1, "reserved")
    transfer_syntax = None
    while left(item):
        if next_item(item, &sub) == TRANSFER_SYNTAX:
            if transfer_syntax is not None:
                fail(item, "transfer syntax", at, "comes twice in a context")
            transfer_syntax = ascii_text(&sub, left(&sub), "transfer syntax name")
    if result == 0 and not transfer_syntax:
        fail(item, "transfer syntax", at, "is missing in a context")
    return ContextResult(context, result, transfer_syntax or "")


def encode_pdu(pdu) -> bytes:
    """The octets of a value of dicomserver.wire.pdus; raises PduError for what no PDU can say."""
    cdef Octets out = octets_new()
    try:
        put_u16be(&out, 0)
        put_u32be(&out, 0)
        out.data[0] = put_body(&out, pdu)
        if out.size - 6 > 0xFFFFFFFF:
            raise PduError("is longer than 4294967295 bytes", "PDU")
        set_u32be(out.data + 2, <uint32_t>(out.size - 6))
        return octets_bytes(&out)
    finally:
        octets_free(&out)


cdef uint8_t put_body(Octets *out, object pdu) except 0:
    """Appends all behind the length; -> the PDU's type."""
    if isinstance(pdu, DataTF):
        put_data(out, pdu)
        return P_DATA_TF
    if isinstance(pdu, AssociateRQ):
        put_associate(out, pdu, A_ASSOCIATE_RQ)
        return A_ASSOCIATE_RQ
    if isinstance(pdu, AssociateAC):
        put_associate(out, pdu, A_ASSOCIATE_AC)
        return A_ASSOCIATE_AC
    if isinstance(pdu, AssociateRJ):
        put_short(out, pdu.result, pdu.source, pdu.reason)
        return A_ASSOCIATE_RJ
    if isinstance(pdu, Abort):
        put_short(out, 0, pdu.source, pdu.reason)
        return A_ABORT
    if isinstance(pdu, (ReleaseRQ, ReleaseRP)):
        put_short(out, 0, 0, 0)
        return A_RELEASE_RQ if isinstance(pdu, ReleaseRQ) else A_RELEASE_RP
    raise TypeError(f"{type(pdu).__name__} is not a PDU")


cdef int put_short(Octets *out, object result, object source, object reason) except -1:
    put_u8(out, 0)
    put_u8(out, <uint8_t>within(result, 0xFF, PduError, "result"))
    put_u8(out, <uint8_t>within(source, 0xFF, PduError, "source"))
    return put_u8(out, <uint8_t>within(reason, 0xFF, PduError, "reason"))


cdef int put_data(Octets *out, object pdu) except -1:
    cdef size_t at, length
    if not pdu.pdvs:
        raise PduError("is missing", "PDV")
    for pdv in pdu.pdvs:
        at = out.size
        put_u32be(out, 0)
        put_u8(out, <uint8_t>within(pdv.context_id, 0xFF, PduError, "presentation context id"))
        put_u8(out, <uint8_t>within(pdv.control, 0xFF, PduError, "message control header"))
        put_content(out, pdv.data, PduError, "fragment")
        length = out.size - at - 4
        if length > 0xFFFFFFFF:
            raise PduError("is longer than 4294967295 bytes", "PDV")
        set_u32be(out.data + at, <uint32_t>length)
    return 0


cdef int put_ae_title(Octets *out, object title, str field) except -1:
    cdef Py_ssize_t length = put_text(out, title, 0xFF, 16, PduError, field)
    return put_fill(out, 0x20, <size_t>(16 - length))


cdef int put_associate(Octets *out, object pdu, int kind) except -1:
    put_u16be(out, <uint16_t>within(pdu.protocol_version, 0xFFFF, PduError, "protocol version"))
    put_u16be(out, 0)
    put_ae_title(out, pdu.called_ae_title, "called AE title")
    put_ae_title(out, pdu.calling_ae_title, "calling AE title")
    put_fill(out, 0, 32)
    put_name(out, APPLICATION_CONTEXT, pdu.application_context, "application context name")
    for context in pdu.presentation_contexts:
        if kind == A_ASSOCIATE_RQ:
            put_proposed_context(out, context)
        else:
            put_context_result(out, context)
    return put_user_information(out, pdu.user_information)


cdef int put_name(Octets *out, int kind, object uid, str field) except -1:
    cdef size_t at = open_item(out, kind)
    put_text(out, uid, 0x7F, 0xFFFF, PduError, field)
    return close_u16be(out, at, PduError, field)


cdef int put_proposed_context(Octets *out, object context) except -1:
    cdef size_t at = open_item(out, PROPOSED_CONTEXT)
    put_u8(out, <uint8_t>within(context.context_id, 0xFF, PduError, "presentation context id"))
    put_fill(out, 0, 3)
    put_name(out, ABSTRACT_SYNTAX, context.abstract_syntax, "abstract syntax name")
    for uid in context.transfer_syntaxes:
        put_name(out, TRANSFER_SYNTAX, uid, "transfer syntax name")
    return close_u16be(out, at, PduError, "presentation context")


cdef int put_context_result(Octets *out, object context) except -1:
    cdef size_t at = open_item(out, CONTEXT_RESULT)
    put_u8(out, <uint8_t>within(context.context_id, 0xFF, PduError, "presentation context id"))
    put_u8(out, 0)
    put_u8(out, <uint8_t>within(context.result, 0xFF, PduError, "result"))
    put_u8(out, 0)
    put_name(out, TRANSFER_SYNTAX, context.transfer_syntax, "transfer syntax name")
    return close_u16be(out, at, PduError, "presentation context")
