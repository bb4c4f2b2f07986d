"""dicom-server: a PACS that a small clinic can install in five minutes and trust for ten years."""

__version__ = "0.1.0"
