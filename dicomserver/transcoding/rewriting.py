"""From one uncompressed transfer syntax to another: implicit or explicit VR, little or big endian."""
from __future__ import annotations

from functools import cache

from dicomserver.standard.transfer_syntaxes import Encoding
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.files import FileWriter
from dicomserver.transcoding.rewriter import DatasetRewriter
from dicomserver.transcoding.vrs import VrTable


@cache
def vrs() -> VrTable:
    """The dictionary's VRs, kept from the first conversion on."""
    return VrTable()


def rewrite(source: Encoding, target: Encoding, file: int, offset: int, length: int, writer: FileWriter) -> None:
    """Writes what `length` bytes of a file from `offset` on are in another encoding. Raises ConversionFailed."""
    facts = None
    if not source.explicit:
        survey = DatasetRewriter(file, offset, length, source, target, vrs())
        _walk(survey)
        facts = survey.facts
    _walk(DatasetRewriter(file, offset, length, source, target, vrs(), writer, facts))


def _walk(rewriter: DatasetRewriter) -> None:
    if rewriter.advance() is not None:
        raise ConversionFailed("it has compressed pixel data in an uncompressed transfer syntax")
