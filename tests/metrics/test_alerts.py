"""The alert rules and the dashboard, as the command line prints them: promtool finds nothing, and every name exists."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from promtool import promtool

from millrace.cli import main
from millrace.metrics.alert_tests import CASES
from millrace.metrics.alerts import ALERTS
from millrace.metrics.dashboard import expressions
from millrace.metrics.rules import write
from millrace.model.families import FAMILIES, PREFIX

NAMED = re.compile(rf"{PREFIX}(\w+)(?:\{{([^{{}}]*)\}})?")
LABEL = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def printed(*words: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == 0, result.output
    return result.output


def check_names(expr: str) -> None:
    """Every family in it exists, with the labels and the values that it is asked for."""
    found = list(NAMED.finditer(expr))
    assert found, f"no family in {expr!r}"
    for match in found:
        name = match[1]
        family = FAMILIES.get(name)
        if family is None:
            base, _, suffix = name.rpartition("_")
            family = FAMILIES[base]
            assert (family.kind, suffix in {"bucket", "sum", "count"}) == ("histogram", True), name
        for label, operator, value in LABEL.findall(match[2] or ""):
            assert label in ("scheduler", *family.labels), f"{name} has no label {label}"
            known = family.values.get(label)
            if known is not None and operator in ("=", "=~"):
                assert set(value.split("|")) <= set(known), f"{label} of {name} is never {value}"


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    """`millrace alerts` prints a rule file."""
    (tmp_path / "rules.yml").write_text(printed("alerts"))
    checked = promtool("check", "rules", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(ALERTS)} rules found" in checked.stdout


def test_the_rules_pass_their_tests(tmp_path: Path) -> None:
    """`millrace alerts --tests` prints what promtool plays the rules through with."""
    (tmp_path / "rules.yml").write_text(printed("alerts"))
    (tmp_path / "tests.yml").write_text(printed("alerts", "--tests", "rules.yml"))
    played = promtool("test", "rules", tmp_path / "tests.yml")
    assert played.returncode == 0, played.stdout + played.stderr


def test_a_rule_that_is_wrong_fails_its_test(tmp_path: Path) -> None:
    """The tests see a difference: with another threshold they fail."""
    rules = printed("alerts").replace("oldest_ready_age_seconds > 300", "oldest_ready_age_seconds > 3000")
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "tests.yml").write_text(printed("alerts", "--tests", "rules.yml"))
    assert promtool("test", "rules", tmp_path / "tests.yml").returncode != 0


def test_every_alert_is_tested_both_ways() -> None:
    """Each fires in one test at least, and stays silent at one time."""
    for alert in ALERTS:
        own = [case for case in CASES if case.alert == alert.name]
        assert any(case.fires_at for case in own), alert.name
        assert any(case.silent_at for case in own), alert.name
    assert {case.alert for case in CASES} == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("expr", [*(alert.expr for alert in ALERTS), *expressions()])
def test_expressions_name_what_exists(expr: str) -> None:
    """Families, labels and values are those of the table; so are those that the alerts' tests feed."""
    check_names(expr.replace("$scheduler", "s"))


@pytest.mark.parametrize("series", [series for case in CASES for series in case.series])
def test_tests_feed_series_that_exist(series: str) -> None:
    """A test with a name that nothing exposes would prove nothing. ``instance`` is Prometheus' own label."""
    check_names(re.sub(r',instance="\w+"', "", series))


def test_promtool_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    """Each parses, with Grafana's variables filled in as Grafana does."""
    rules = [
        {"record": f"panel:{at}", "expr": expr.replace("$__rate_interval", "1m").replace("$scheduler", ".*")}
        for at, expr in enumerate(expressions())
    ]
    (tmp_path / "rules.yml").write_text(write({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    """Panels have ids of their own, do not overlap, stay within the width, and ask the chosen schedulers of the chosen source."""
    board: dict[str, Any] = json.loads(printed("grafana"))
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    asked = [target for panel in panels for target in panel.get("targets", [])]
    assert [target["expr"] for target in asked] == expressions()
    assert all('scheduler=~"$scheduler"' in target["expr"] for target in asked)
    assert all(target["datasource"]["uid"] == "${datasource}" for target in asked)
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "scheduler"}
    shown = {NAMED.match(found[0])[1] for found in NAMED.finditer(" ".join(expressions()))}  # type: ignore[index]
    bare = {name if name in FAMILIES else name.rpartition("_")[0] for name in shown}
    assert bare <= set(FAMILIES)


def test_yaml_is_what_a_parser_reads_back() -> None:
    """Text with quotes, colons and newlines, empty lists, and lists within lists."""
    assert write({"a": {"b": 'say "x": y\n'}, "c": [], "d": [{"e": 1, "f": [{"g": True}]}]}) == (
        'a:\n  b: "say \\"x\\": y\\n"\nc: []\nd:\n  - e: 1\n    f:\n      - g: true\n'
    )
