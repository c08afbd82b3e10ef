"""Each case of `python -m bench` runs at its smallest, in seconds, and writes figures for all its variants."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("huey", reason="the baselines need the extra `bench`")

_ROOT = Path(__file__).resolve().parents[2]
_VARIANTS = {
    "flat": 6,
    "one_by_one": 7,
    "latency": 3,
    "fanout": 5,
    "siblings": 2,
    "million": 2,
    "parents": 1,
    "cancelling": 2,
    "scan": 2,
    "scrape": 1,
    "looking": 1,
    "telling": 7,
    "groups": 6,
    "behind": 2,
    "limited": 3,
    "dependencies": 2,
    "idle": 2,
    "day": 4,
}


@pytest.mark.parametrize("case", _VARIANTS)
def test_a_case_measures_all_its_variants(case: str, tmp_path: Path) -> None:
    """A tiny run of a case ends well, with positive figures for every variant and a value for every target.

    Nothing but the JSON file is left in the directory that it uses. The scan compares the totals after kills with those of an
    undisturbed one, and finds them equal.
    """
    measured = _run(case, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]
    assert {name for name, figures in measured["medians"].items() if figures} == set(measured["medians"])
    assert len(measured["medians"]) == _VARIANTS[case]
    for figures in measured["medians"].values():
        assert figures["rss_mb"] > 1
        assert figures.get("rate", figures.get("median_ms", figures.get("percent"))) > 0
    assert all(target["value"] is not None for target in measured["targets"])
    if case == "scan":
        assert measured["medians"]["millrace scan"]["is_same"] == 1


def _run(case: str, directory: Path) -> dict:
    out = directory / "figures.json"
    command = [sys.executable, "-m", "bench", "--case", case, "--scale", "tiny"]
    ended = subprocess.run(
        [*command, "--tmp", str(directory), "--json", str(out)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (measured,) = json.loads(out.read_text())["cases"]
    return measured
