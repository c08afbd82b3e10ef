"""docs/reference/ is what the docstrings say."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import pytest

import millrace

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def pages() -> Mapping[str, str]:
    """What the generator writes."""
    spec = importlib.util.spec_from_file_location("generate_reference", DOCS / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written: Mapping[str, str] = module.pages()
    return written


def test_the_reference_is_up_to_date(pages: Mapping[str, str]) -> None:
    """Each page is as generated, and there is no other; after a change run `python docs/generate_reference.py`."""
    found = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").iterdir()}
    assert sorted(found) == sorted(pages)
    stale = [name for name, text in pages.items() if found[name] != text]
    assert not stale, "run `python docs/generate_reference.py`, and commit what it writes"


def test_every_public_name_has_its_place(pages: Mapping[str, str]) -> None:
    """Each name of `millrace` is a heading on exactly one page."""
    lines = [line for text in pages.values() for line in text.splitlines()]
    headings = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    for name in set(millrace.__all__) - {"__version__"}:
        assert headings.count(name) == 1, name
