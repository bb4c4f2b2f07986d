"""System calls that fail, do nothing or end the process, by the library that shim.c becomes."""
from __future__ import annotations

from pathlib import Path

from tests.preloading import compiled

SOURCE = Path(__file__).with_name("shim.c")


class Faults:
    """For one server and its life: started with `environment`, it does what is set now.

    calls and actions: see shim.c, where an action may be an errno too.
    """

    def __init__(self, folder: Path) -> None:
        self._rules = folder / "rules"
        self.environment = {"LD_PRELOAD": str(compiled(SOURCE, folder)), "CRASH_RULES": str(self._rules)}

    def set(self, *rules: tuple[str, int | str, Path | str]) -> None:
        """(call, action, pattern of paths) each; instead of what was set before."""
        new = self._rules.with_suffix(".new")
        new.write_text("".join(f"{call} {action} {pattern}\n" for call, action, pattern in rules))
        new.rename(self._rules)

    def clear(self) -> None:
        """All works again."""
        self._rules.unlink(missing_ok=True)
