"""docs/reference/ is what the docstrings say."""

import builtins
import importlib.util
import queue
import re
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


def test_each_error_has_a_line_of_its_own(pages: Mapping[str, str]) -> None:
    """What is raised is a list of errors: none of them is told of in the line of another, and each is an error."""
    raised = [
        line
        for text in pages.values()
        for part in re.findall(r"\*\*Raises\*\*\n\n((?:[- ] .+\n)+)", text)
        for line in part.splitlines()
    ]
    assert len(raised) > 50
    for line in raised:
        assert not re.search(r"[.;] [A-Z]\w+(, [A-Z]\w+)*: ", line), line
        named = re.match(r"- `([^`]+)`: ", line)
        assert named or line.startswith("- As "), line
        for name in named[1].split(", ") if named else ():
            local = name.removeprefix("queue.")
            kind = next(vars(of)[local] for of in (millrace, builtins, queue) if hasattr(of, local))
            assert issubclass(kind, BaseException), line


def test_an_error_says_by_what_it_can_be_caught(pages: Mapping[str, str]) -> None:
    """Python's own kinds too: who catches ValueError need not know of InvalidTask."""
    for name in millrace.__all__:
        kind = getattr(millrace, name)
        if isinstance(kind, type) and issubclass(kind, ValueError | LookupError):
            ours = next(base for base in kind.__bases__ if base.__name__ in millrace.__all__)
            caught_by = [base.__name__ for base in kind.__bases__ if base is not ours]
            article = "An" if ours.__name__[0] == "I" else "A"
            line = " and a ".join(f"`{each}`" for each in (ours.__name__, *caught_by))
            assert f"## {name}\n\n{article} {line}.\n" in pages["errors.md"]
