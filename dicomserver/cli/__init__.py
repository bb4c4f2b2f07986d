"""The dicom-server command."""
