"""The programs of examples/, loaded as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of the programs."""
    return EXAMPLES


def load(name: str) -> ModuleType:
    """One program, as it would be imported from its folder: dataclasses need it among the modules."""
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def s3_upload() -> ModuleType:
    return load("s3_upload")


@pytest.fixture(scope="module")
def web_app() -> ModuleType:
    return load("web_app")


@pytest.fixture(scope="module")
def nightly_import() -> ModuleType:
    return load("nightly_import")
