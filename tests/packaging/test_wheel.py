"""What is in the wheel, and that it works without the source tree."""

import configparser
import email
import os
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """The paths inside the wheel."""
    return zipfile.ZipFile(wheel).namelist()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """The wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(path))


def source_files(root: Path, *suffixes: str) -> set[str]:
    """The package's files as the layout rule maps them: api/ is millrace/, every other layer millrace/<layer>/."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    top_folders = {
        line.split("=")[1].strip().split("/")[0] for line in config["options"]["package_dir"].split("\n") if line
    }
    found = set[str]()
    for folder in top_folders:
        target = Path("millrace") if folder == "api" else Path("millrace", folder)
        for path in (root / folder).rglob("*"):
            if path.suffix in suffixes or path.name in suffixes:
                found.add((target / path.relative_to(root / folder)).as_posix())
    return found


def test_millrace_is_the_only_top_level_name(names: list[str]) -> None:
    """A wheel puts nothing but `millrace` and its own dist-info into site-packages."""
    top_level = {name.split("/")[0] for name in names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {"millrace"}


@pytest.mark.parametrize("suffix", [".py", ".sql", "py.typed"])
def test_every_source_file_is_in_the_wheel(root: Path, names: list[str], suffix: str) -> None:
    """Modules, SQL and the typing marker are installed, each where the layout maps it; no others are."""
    expected = source_files(root, suffix)
    assert expected
    assert {name for name in names if name.endswith(suffix)} == expected


def test_every_file_is_one_of_these_kinds(names: list[str]) -> None:
    """No compiled, temporary or data file slips in."""
    package = [name for name in names if name.startswith("millrace/")]
    assert [name for name in package if not name.endswith((".py", ".sql", "/py.typed"))] == []


def test_every_layer_is_installed(root: Path, names: list[str]) -> None:
    """A package at the top, tests and benchmarks apart, is a layer, and setup.cfg maps it."""
    layers = {path.parent.name for path in root.glob("*/__init__.py")} - {"api", "bench", "tests"}
    assert layers
    assert {f"millrace/{layer}/__init__.py" for layer in layers} <= set(names)


def test_tests_and_benchmarks_stay_out(names: list[str]) -> None:
    """Neither tests nor benchmarks nor documents are installed."""
    folders = {part for name in names for part in name.split("/")[:-1]}
    assert folders.isdisjoint({"tests", "bench", "docs", "examples"})


def test_the_metadata_names_licence_and_python(metadata: Message) -> None:
    """The wheel says under which licence and on which Python it may be used."""
    assert metadata["Name"] == "millrace"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "MIT" in {metadata["License"], metadata["License-Expression"]}
    assert metadata["License-File"] == "LICENSE"


def test_the_wheel_runs_without_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    """An unpacked wheel imports, states its version, finds its SQL, and answers on the command line."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    program = (
        "import importlib.resources as resources, millrace, millrace.cli;"
        "sql = [p.name for p in (resources.files('millrace.store') / 'sql').iterdir()];"
        "print(millrace.__file__, millrace.__version__, len(sql), sep='\\n');"
        "millrace.cli.main(['--help'], prog_name='millrace')"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    file, version, sql_count, *help_text = run.stdout.splitlines()
    assert Path(file).is_relative_to(site)
    assert f"-{version}-" in wheel.name
    assert int(sql_count) > 0
    assert any("scan" in line for line in help_text)
