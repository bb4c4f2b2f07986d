"""The files: intake, durability, layout, quarantine, tombstones."""
