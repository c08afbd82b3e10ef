"""The pages hold together: links lead somewhere, questions are asked, commands exist."""

import re
from pathlib import Path

import click
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from millrace.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def tokens(page: Path) -> list[Token]:
    """All of a page's tokens, those inside lines too."""
    found: list[Token] = []
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        found += [token, *(token.children or [])]
    return found


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to a file of the project is to one that is there."""
    for token in tokens(page):
        target = str(token.attrs.get("href", "")).partition("#")[0]
        if target and not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "how-to").glob("*.md")), ids=name_of)
def test_a_how_to_is_a_question(page: Path) -> None:
    """Its title asks what a user would."""
    title = page.read_text(encoding="utf-8").partition("\n")[0]
    assert re.fullmatch(r"# (How|What|When|Where|Which|Why) .+\?", title)


def test_every_page_is_in_the_index() -> None:
    """Nobody has to guess what there is."""
    index = ROOT / "docs" / "index.md"
    linked = {str(token.attrs["href"]).partition("#")[0] for token in tokens(index) if "href" in token.attrs}
    pages = {str(page.relative_to(index.parent)) for page in index.parent.rglob("*.md") if page != index}
    assert pages - linked == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    """Each `millrace` command in a block for the terminal is one, and takes the options that are given."""
    for token in tokens(page):
        if token.type == "fence" and token.info == "console":
            for line in re.findall(r"millrace ([a-z]+.*)", token.content):
                name, *words = line.split()
                command = main.get_command(click.Context(main), name)
                while isinstance(command, click.Group) and words and not words[0].startswith("-"):
                    command = command.get_command(click.Context(command), words.pop(0))
                assert command is not None, line
                known = {option for each in command.get_params(click.Context(command)) for option in each.opts}
                assert {word for word in words if word.startswith("--")} <= known | {"--help"}, line
