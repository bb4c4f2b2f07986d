from __future__ import annotations

import subprocess
import sys

SHOWN = """
import sys
from dicomserver.cli.concealment import conceal_arguments
conceal_arguments()
print(open('/proc/self/cmdline').read().replace(chr(0), '|').splitlines()[-1])
print(*sys.argv[1:])
"""


def test_the_urls_of_databases_are_not_shown() -> None:
    """Arguments beside them stay, and so does what the program itself has read."""
    arguments = ["--database-url", "postgres://user:se:c@ret@host/db", "--database-url=POSTGRESQL://u:secret@h/d?x",
                 "-p", "104", "sqlite:///x.db"]
    done = subprocess.run([sys.executable, "-c", SHOWN, *arguments], capture_output=True, text=True, check=True)
    shown, read = done.stdout.splitlines()
    assert shown.endswith(
        f"|--database-url|postgres://{'*' * 21}|--database-url=POSTGRESQL://{'*' * 14}|-p|104|sqlite:///x.db|")
    assert read == " ".join(arguments)
