"""Turns measurements into medians, ratios and marks, and those into a table or JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.case import Case, Measurement, Target
from bench.machine import Machine

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target with what was reached: `value` is a figure, or a ratio; None where there is no figure to judge."""

    target: Target
    value: float | None

    @property
    def is_reached(self) -> bool:
        """False also where nothing was measured."""
        return self.value is not None and self.target.is_reached_by(self.value)


def judge(target: Target, measurements: Sequence[Measurement]) -> Verdict:
    """The median of the figure, or of its ratios repetition by repetition, against the bound."""
    mine = _by_repetition(measurements, target.variant, target.figure)
    if target.against is None:
        values = list(mine.values())
    else:
        theirs = _by_repetition(measurements, target.against, target.figure)
        values = [mine[n] / theirs[n] for n in mine if theirs.get(n)]
    return Verdict(target, median(values) if values else None)


def print_machine(console: Console, machine: Machine) -> None:
    """Two lines on where the figures come from."""
    packages = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    console.print(
        f"{machine.system}, {machine.cpus} processors, {machine.memory_mb} MB, load {machine.load:.2f}; "
        f"files on {machine.filesystem}\n{machine.python}, SQLite {machine.sqlite}, {packages}",
        highlight=False,
    )
    if not machine.is_on_disk:
        console.print("[bold]The files are in memory: these figures say nothing about a disk (--tmp DIR).[/bold]")


def print_case(console: Console, case: Case, measurements: Sequence[Measurement], *, judged: bool) -> None:
    """The case's table of medians, its errors, and its targets with their marks."""
    table = Table(title=escape(f"{case.name}: {case.title}"), title_justify="left")
    table.add_column("variant")
    for column in case.columns:
        table.add_column(column.title, justify="right")
    table.add_column("runs", justify="right")
    for variant in case.variants:
        table.add_row(variant.name, *_cells(case, measurements, variant.name))
    console.print(table)
    for failed in (m for m in measurements if m.error is not None):
        console.print(f"{failed.variant} failed:\n{failed.error}", style="red", markup=False, highlight=False)
    for target in case.targets:
        console.print(line_for(judge(target, measurements), judged=judged), markup=False, highlight=False)


def line_for(verdict: Verdict, *, judged: bool) -> str:
    """One target in words: mark, value, bound. Unjudged ones (smaller scales) have no mark."""
    target = verdict.target
    bound = f">= {target.at_least:.3g}" if target.at_least is not None else f"<= {target.at_most:.3g}"
    kind = "" if target.against is None else " times"
    value = "no figure" if verdict.value is None else f"{verdict.value:.3g}{kind}"
    mark = ("PASS" if verdict.is_reached else "MISS") if judged else "    "
    return f"  {mark}  {target.title}: {value} (to reach: {bound}{kind})"


def as_json(machine: Machine, results: Mapping[Case, Sequence[Measurement]], *, scale: str) -> Json:
    """Everything that was measured, with the medians and the verdicts, for a file."""
    return {"scale": scale, "machine": asdict(machine), "cases": [_case_json(c, m) for c, m in results.items()]}


def _case_json(case: Case, measurements: Sequence[Measurement]) -> Json:
    verdicts = [judge(target, measurements) for target in case.targets]
    return {
        "name": case.name,
        "title": case.title,
        "medians": {v.name: _medians(measurements, v.name) for v in case.variants},
        "targets": [{**asdict(v.target), "value": v.value, "is_reached": v.is_reached} for v in verdicts],
        "measurements": [asdict(m) for m in measurements],
    }


def _cells(case: Case, measurements: Sequence[Measurement], variant: str) -> list[str]:
    medians = _medians(measurements, variant)
    runs = sum(1 for m in measurements if m.variant == variant and m.error is None)
    shown = (f"{medians[c.key]:,.{c.decimals}f}" if c.key in medians else "-" for c in case.columns)
    return [*shown, str(runs)]


def _medians(measurements: Sequence[Measurement], variant: str) -> dict[str, float]:
    keys = dict.fromkeys(key for m in measurements if m.variant == variant for key in m.figures)
    return {key: median(_by_repetition(measurements, variant, key).values()) for key in keys}


def _by_repetition(measurements: Sequence[Measurement], variant: str, figure: str) -> dict[int, float]:
    return {m.repetition: m.figures[figure] for m in measurements if m.variant == variant and figure in m.figures}
