"""Facts of the DICOM standard: SOP classes, transfer syntaxes, statuses, indexed attributes."""
