"""From a compressed transfer syntax to implicit or explicit VR little endian, frame by frame."""
from __future__ import annotations

from collections.abc import Iterator

from dicomserver.standard.transfer_syntaxes import Encoding, encoding
from dicomserver.transcoding.decoding import LOSSY, decode_frame
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.files import FileWriter
from dicomserver.transcoding.fragments import Fragments
from dicomserver.transcoding.images import Edit, Image
from dicomserver.transcoding.rewriter import DatasetRewriter
from dicomserver.transcoding.rewriting import vrs

MOST_IMAGES = 64        # in one dataset: itself, and icons in its sequences


class CompressedImage:
    """One Pixel Data element and what describes it; the frames are in the file."""

    def __init__(self, syntax: str, image: Image, fragments: Fragments) -> None:
        self.image = image
        self.end = fragments.end
        self._syntax = syntax
        self._fragments = fragments
        self._begins = fragments.begins(image.number_of_frames)
        # Only colours may become others, and that only the decoder knows.
        self._photometric = image.photometric_interpretation
        if image.samples_per_pixel > 1:
            self._photometric = decode_frame(syntax, image, self._frame(0)).photometric_interpretation

    def _frame(self, number: int) -> bytes:
        return self._fragments.read(self._begins[number], self._begins[number + 1])

    def edits(self) -> list[Edit]:
        """What its dataset has to say otherwise when it is decoded."""
        return self.image.edits(self._photometric, self._syntax in LOSSY)

    def frames(self) -> Iterator[bytes]:
        """Native frames. Raises ConversionFailed."""
        for number in range(self.image.number_of_frames):
            frame = decode_frame(self._syntax, self.image, self._frame(number))
            if frame.photometric_interpretation != self._photometric:
                raise ConversionFailed("its frames are decoded to different photometric interpretations")
            yield frame.pixels


def decompress(syntax: str, target: Encoding, file: int, offset: int, length: int, writer: FileWriter) -> None:
    """Writes what `length` bytes of a file from `offset` on are without compression. Raises ConversionFailed.

    target: little endian. Native Pixel Data, as icons have it, stays as it is.
    """
    source = encoding(syntax)
    survey = DatasetRewriter(file, offset, length, source, target, vrs())
    fragments: dict[tuple[int, int], Fragments] = {}        # by scope and position
    while (found := survey.advance()) is not None:
        if len(fragments) == MOST_IMAGES:
            raise ConversionFailed("there are too many images in one dataset")
        fragments[found] = Fragments(file, found[1], offset + length)
        survey.resume(fragments[found].end)
    images = {found: CompressedImage(syntax, Image.of(survey.facts.get(found[0], {})), of_image)
              for found, of_image in fragments.items()}
    edits = {scope: image.edits() for (scope, _), image in images.items()}
    rewriter = DatasetRewriter(file, offset, length, source, target, vrs(), writer, survey.facts, edits)
    while (found := rewriter.advance()) is not None:
        _write_native(images[found], rewriter, writer)
        rewriter.resume(images[found].end)


def _write_native(compressed: CompressedImage, rewriter: DatasetRewriter, writer: FileWriter) -> None:
    octets = compressed.image.octets
    # PS3.5 A.2: OB may be of 8 bits or fewer only.
    rewriter.begin_pixel_data("OB" if compressed.image.bits_allocated <= 8 else "OW", octets + octets % 2)
    for frame in compressed.frames():
        writer.write(frame)
    if octets % 2:
        writer.write(b"\0")
