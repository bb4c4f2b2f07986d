"""The shipped configuration file and the table of the manual, both from the schema.

`python -m dicomserver.config.document` writes conf/dicom-server.yaml; `--table` prints the Markdown table.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path

from dicomserver.config.load import PREFIX
from dicomserver.config.schema import SECTIONS, Configuration, allowed, key_of

SHIPPED = Path("conf/dicom-server.yaml")
_WIDTH = 100
_HEAD = """\
dicom-server: every option at its default. Take away the # before an option to change it.

Stronger than this file are the environment (aeTitle is DICOM_SERVER_AE_TITLE) and the command line.
dicom-server check-config FILE says what is wrong with a file; JSON with the same keys does as well.
"""


def yaml_file() -> str:
    """The text of conf/dicom-server.yaml: with the `#` before each `key:` taken away it says the defaults."""
    parts = [_commented(_HEAD)]
    for attribute, field in Configuration.model_fields.items():
        if attribute in SECTIONS:
            parts.append(f"\n## {SECTIONS[attribute]}\n")
        explained = f"{field.description} Allowed: {allowed(attribute)}."
        parts.append(f"\n{_commented(explained)}#{key_of(attribute)}: {_default(attribute)}\n")
    return "".join(parts)


def markdown_table() -> str:
    """One row for each option: key, environment variable, default, what is allowed, description."""
    rows = ["| key | variable | default | allowed | meaning |", "|---|---|---|---|---|"]
    for attribute, field in Configuration.model_fields.items():
        cells = (f"`{key_of(attribute)}`", f"`{PREFIX}{attribute.upper()}`", f"`{_default(attribute)}`",
                 allowed(attribute), field.description or "")
        rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _default(attribute: str) -> str:
    """The default as YAML; JSON is YAML."""
    return json.dumps(Configuration.model_fields[attribute].default)


def _commented(text: str) -> str:
    lines = [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, _WIDTH) or [""]]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def main() -> None:
    """Writes conf/dicom-server.yaml, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="print the Markdown table of the options")
    if parser.parse_args().table:
        print(markdown_table(), end="")
        return
    SHIPPED.parent.mkdir(exist_ok=True)
    SHIPPED.write_text(yaml_file(), encoding="utf-8")


if __name__ == "__main__":
    main()
