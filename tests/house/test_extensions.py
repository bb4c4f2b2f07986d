"""What is compiled is what runs: no Python twin stands in for an extension."""
from __future__ import annotations

import importlib
from importlib.machinery import ExtensionFileLoader

import pytest

from tests.house.tree import ROOT, sources

EXTENSIONS = [source.module for source in sources("ext", suffixes=(".pyx",))]


def is_compiled(module) -> bool:
    return isinstance(module.__spec__.loader, ExtensionFileLoader) and module.__file__.endswith(".so")


def test_convicts_a_python_module() -> None:
    assert not is_compiled(importlib.import_module("dicomserver.wire"))


@pytest.mark.parametrize("name", EXTENSIONS)
def test_extension_is_loaded(name: str) -> None:
    assert is_compiled(importlib.import_module(name))


@pytest.mark.parametrize("name", EXTENSIONS)
def test_extension_has_no_python_twin(name: str) -> None:
    assert not (ROOT / (name.replace(".", "/") + ".py")).exists()
