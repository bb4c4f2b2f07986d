"""Builds ext/**/*.pyx: ext/dicomserver/wire/pdu.pyx imports as dicomserver.wire.pdu.

DICOMSERVER_BUILD selects the kind of build: `release` (default), `debug` (bounds checks, line tracing)
or `asan` (AddressSanitizer and UndefinedBehaviorSanitizer, with bounds checks).
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
COMPILE = {
    "release": ["-O2"],
    "debug": ["-O0", "-g", "-DCYTHON_TRACE=1", "-DCYTHON_TRACE_NOGIL=1"],
    "asan": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"],
}[KIND]
LINK = ["-fsanitize=address,undefined"] if KIND == "asan" else []


def extension(source: Path) -> Extension:
    name = ".".join(source.relative_to("ext").with_suffix("").parts)
    return Extension(name, [str(source)], extra_compile_args=["-Wall", "-Wextra", "-Wno-unused-parameter", *COMPILE],
                     extra_link_args=LINK)


setup(ext_modules=cythonize([extension(p) for p in sorted(Path("ext").rglob("*.pyx"))], include_path=["ext"],
                            compiler_directives=DIRECTIVES, force=CHECKED))
