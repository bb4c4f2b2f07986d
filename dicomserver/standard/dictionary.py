"""pydicom's tables of the standard, without the cost of importing pydicom.

`import pydicom` takes 0.1 s and 20 MB; its two tables alone take 5 ms, and a server needs nothing else of it.
"""
from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType


# What PS3.6 has gained since pydicom 3.0 made its tables; later versions of pydicom may bring them, and then win.
_SINCE = {
    "1.2.840.10008.1.2.4.110": ("JPEG XL Lossless", "Transfer Syntax", "", "", "JPEGXLLossless"),
    "1.2.840.10008.1.2.4.111": ("JPEG XL JPEG Recompression", "Transfer Syntax", "", "", "JPEGXLJPEGRecompression"),
    "1.2.840.10008.1.2.4.112": ("JPEG XL", "Transfer Syntax", "", "", "JPEGXL"),
    "1.2.840.10008.1.2.8.1": ("Deflated Image Frame Compression", "Transfer Syntax", "", "",
                              "DeflatedImageFrameCompression"),
    "1.2.840.10008.5.1.4.1.1.9.100.1": ("Waveform Presentation State Storage", "SOP Class", "", "",
                                        "WaveformPresentationStateStorage"),
    "1.2.840.10008.5.1.4.1.1.9.100.2": ("Waveform Acquisition Presentation State Storage", "SOP Class", "", "",
                                        "WaveformAcquisitionPresentationStateStorage"),
    "1.2.840.10008.5.1.4.1.1.66.7": ("Label Map Segmentation Storage", "SOP Class", "", "",
                                     "LabelMapSegmentationStorage"),
    "1.2.840.10008.5.1.4.1.1.66.8": ("Height Map Segmentation Storage", "SOP Class", "", "",
                                     "HeightMapSegmentationStorage"),
}


@cache
def uid_dictionary() -> dict[str, tuple[str, str, str, str, str]]:
    """PS3.6 Annex A: uid -> (name, type, information, "Retired" or "", keyword)."""
    return _SINCE | _table("_uid_dict").UID_dictionary


def uid_name(uid: str) -> str:
    """What PS3.6 calls it, or the UID itself."""
    return uid_dictionary().get(uid, ("",))[0] or uid


def data_dictionary() -> dict[int, tuple[str, str, str, str, str]]:
    """PS3.6 6-8: tag 0xGGGGEEEE -> (vr, multiplicity, name, "Retired" or "", keyword).

    Loaded anew by each call and not kept: it is 2 MB, and who wants it wants a few rows once.
    """
    return _table("_dicom_dict").DicomDictionary


def repeating_groups() -> list[tuple[int, int, str]]:
    """PS3.6: tags with an `x` in them: (mask, tag, vr), for each tag of which the masked bits are those of `tag`.

    Loaded anew by each call, as `data_dictionary` is.
    """
    return [(int("".join("0" if digit == "x" else "F" for digit in tag), 16), int(tag.replace("x", "0"), 16), row[0])
            for tag, row in _table("_dicom_dict").RepeatersDictionary.items()]


def _table(name: str) -> ModuleType:
    package = importlib.util.find_spec("pydicom")
    if package is None or not package.submodule_search_locations:
        raise ImportError("pydicom is not installed")
    path = Path(package.submodule_search_locations[0], f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"{__name__}.{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
