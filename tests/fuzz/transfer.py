"""What reads data transfer: P-DATA-TF streams and datasets. Both must not care how the bytes were cut into pieces."""
from __future__ import annotations

import struct
import zlib

from dicomserver.standard.attributes import INDEXED
from dicomserver.wire import stream
from dicomserver.wire.command import decode_command, encode_command
from dicomserver.wire.errors import DatasetError, WireError
from dicomserver.wire.inlet import BytesInlet
from dicomserver.wire.pdata import encode_message
from dicomserver.wire.pixels import pixel_data_short
from dicomserver.wire.scanner import DatasetScanner
from dicomserver.wire.wanted import Wanted
from tests.wire.samples import COMMANDS

WANTED = Wanted(INDEXED)
MOST = 4096             # bytes of a dataset that is kept whole; longer ones are read to their end and forgotten
RELEASE_RQ = b"\5\0\0\0\0\4\0\0\0\0"


class CutMatters(Exception):
    """The same bytes in other pieces gave something else."""


# -- P-DATA-TF -------------------------------------------------------------------------------------------------

def _events(data: bytes, chunk: int) -> tuple[list[object], WireError | None]:
    """What an association would see, and the fault that ends it."""
    opened = stream.PduStream(BytesInlet(1 << 19, data, chunk), 16384)
    opened.accept([1, 3])
    seen: list[object] = []
    try:
        while True:
            event, content = opened.next()
            seen.append((event, content))
            if event not in (stream.COMMAND, stream.PDU):
                return seen, None
            if event == stream.COMMAND and decode_command(content).has_dataset:
                opened.expect_dataset()
                seen.append(opened.read_dataset(MOST))
    except stream.StreamEnded as ended:
        return [*seen, ended.event], None
    except WireError as error:
        return [*seen, error.field, error.abort_reason], error


def pdata(data: bytes) -> None:
    """Whatever comes on an accepted association."""
    seen, error = _events(data, 1 << 20)
    for chunk in (1, 7, 300):
        if _events(data, chunk)[0] != seen:
            raise CutMatters(f"in pieces of {chunk} bytes")
    if error is not None:
        raise error


def _pdata_corpus() -> tuple[bytes, ...]:
    messages = []
    for number, command in enumerate(COMMANDS.values()):
        dataset = b"\x08\0\x16\0UI\4\0001.2\0" * 40 if command.has_dataset else None
        longest = (0, 64, 200, 16384)[number % 4]
        messages.append(encode_message(1 + 2 * (number % 2), encode_command(command), dataset, longest))
    return (*messages, b"".join(messages), messages[0] + RELEASE_RQ)


# -- datasets --------------------------------------------------------------------------------------------------

# By the first byte: explicit VR, big endian, deflated. The last is deflated here, so that mutants inflate.
ENCODINGS = ((False, False, False), (True, False, False), (True, True, False), (True, False, True), (True, False, True))


def _scanned(data: bytes, encoding: tuple[bool, bool, bool], piece: int) -> tuple[object, DatasetError | None]:
    scanner = DatasetScanner(WANTED, *encoding, maximum_depth=8, maximum_inflated=60000)
    try:
        for begin in range(0, len(data), piece):
            scanner.feed(data[begin:begin + piece])
        scanner.finish()
    except DatasetError as error:
        # What zlib had inflated before it met bad data, it gives for small pieces alone.
        return "malformed" if encoding[2] else str(error), error
    kept = scanner.values
    return (kept.identity, kept.character_set, kept.declared_pixels, scanner.inflation_capped,
            pixel_data_short(scanner), [kept.packed(level) for level in range(4)]), None


def scanner(data: bytes) -> None:
    """A dataset; the first byte says in which encoding."""
    mode = data[0] % len(ENCODINGS) if data else 0
    content = _deflated(data[1:]) if mode == len(ENCODINGS) - 1 else data[1:]
    seen, error = _scanned(content, ENCODINGS[mode], 1 << 20)
    for piece in (1, 13, 1000):
        if _scanned(content, ENCODINGS[mode], piece)[0] != seen:
            raise CutMatters(f"in pieces of {piece} bytes, encoding {mode}")
    if error is not None:
        raise error


def _deflated(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


def _element(explicit: bool, big: bool, tag: int, vr: bytes, value: bytes, undefined: bool = False) -> bytes:
    order = ">" if big else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    length = 0xFFFFFFFF if undefined else len(value)
    if not explicit:
        return head + struct.pack(order + "I", length) + value
    if vr in (b"SQ", b"OW", b"UN"):
        return head + vr + struct.pack(order + "HI", 0, length) + value
    return head + vr + struct.pack(order + "H", length) + value


def _dataset(explicit: bool, big: bool) -> bytes:
    """Every kind of element that the scanner tells apart."""
    def element(tag: int, vr: bytes, value: bytes, undefined: bool = False) -> bytes:
        return _element(explicit, big, tag, vr, value, undefined)

    def item(tag: int, value: bytes = b"", undefined: bool = False) -> bytes:
        return _element(False, big, tag, b"", value, undefined)

    request = element(0x00400007, b"LO", b"knee") + element(0x00401001, b"SH", b"RP1 ")
    ends = item(0xFFFEE00D), item(0xFFFEE0DD)
    open_items = item(0xFFFEE000, request + ends[0], True) + item(0xFFFEE000, request) + ends[1]
    frames = item(0xFFFEE000) + item(0xFFFEE000, b"\1\2\3\4") + ends[1]
    numbers = b"\1\2" if big else b"\2\1"
    return b"".join([
        element(0x00080005, b"CS", b"ISO_IR 100"), element(0x00080016, b"UI", b"1.2.3\0"),
        element(0x00080018, b"UI", b"1.2.3.4\0"), element(0x00100010, b"PN", b"A^B "),
        element(0x0020000D, b"UI", b"1.2\0"),
        element(0x0020000E, b"UI", b"1.2.5\0"), element(0x00280010, b"US", numbers),
        element(0x00280011, b"US", numbers),
        element(0x00400275, b"SQ", open_items, True), element(0x00400280, b"SQ", item(0xFFFEE000, request)),
        element(0x00431001, b"UN", b"\0" * 30), element(0x7FE00010, b"OW", frames if explicit else b"\0" * 8,
                                                        explicit)])


def _dataset_corpus() -> tuple[bytes, ...]:
    plain = [_dataset(explicit, big) for explicit, big, _ in ENCODINGS[:3]]
    return (*(bytes((mode,)) + data for mode, data in enumerate(plain)), b"\3" + _deflated(plain[1]), b"\4" + plain[1])


STREAMS = _pdata_corpus()
DATASETS = _dataset_corpus()
