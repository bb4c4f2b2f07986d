"""Builds ext/**/*.pyx: ext/dicomserver/wire/pdu.pyx imports as dicomserver.wire.pdu.

DICOMSERVER_BUILD selects the kind of build: `release` (default), `debug` (bounds checks, line tracing),
`asan` (AddressSanitizer and UndefinedBehaviorSanitizer, with bounds checks) or `none` (no extensions:
`make build` compiles them itself, since an editable installation would compile all of them again each time).
Each kind has its own folder build/KIND/.
"""
import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

KIND = os.environ.get("DICOMSERVER_BUILD", "release")
CHECKED = KIND != "release"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": CHECKED,
    "linetrace": KIND == "debug",
    "freethreading_compatible": False,
}
SANITIZE = "-fsanitize=address,undefined"
COMPILE = {
    "none": [],
    "release": ["-O2"],
    "debug": ["-O0", "-g", "-DCYTHON_TRACE=1", "-DCYTHON_TRACE_NOGIL=1"],
    "asan": ["-O1", "-g", SANITIZE, "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"],
}[KIND]
LINK = [SANITIZE] if KIND == "asan" else []
# Not what Cython's own C would warn of.
WARNINGS = ["-Wall", "-Wextra",
            "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-Wno-cast-function-type"]


def extension(source: Path) -> Extension:
    name = ".".join(source.relative_to("ext").with_suffix("").parts)
    return Extension(name, [str(source)], extra_compile_args=[*WARNINGS, *COMPILE], extra_link_args=LINK)


def extensions() -> list[Extension]:
    if KIND == "none":
        return []
    return cythonize([extension(p) for p in sorted(Path("ext").rglob("*.pyx"))], include_path=["ext"],
                     build_dir=f"build/{KIND}/cython", compiler_directives=DIRECTIVES)


setup(ext_modules=extensions(),
      options={"build": {"build_base": f"build/{KIND}", "build_lib": f"build/{KIND}/lib"}})
