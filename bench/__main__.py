"""`python -m bench`: measures the cases and marks each against its target.

Exit code 0: all targets reached (at smaller scales: all measured). 1: one missed or not measured. 2: wrong use.
"""

import json
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from bench import report
from bench.case import Case, Measurement, Scale
from bench.cases import NAMES, load
from bench.machine import describe
from bench.runner import run_case


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--case", "names", multiple=True, type=click.Choice(NAMES), help="Only this case; may be repeated.")
@click.option("--quick", is_flag=True, help="Small workloads, twice each: a look, not a judgement.")
@click.option("--scale", type=click.Choice([scale.value for scale in Scale]), help="The same, and smaller still.")
@click.option("--repetitions", type=click.IntRange(min=1), help="How often; the default is each case's own.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here.")
@click.option(
    "--tmp",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=tempfile.gettempdir,
    help="Where the measured files are made; a disk, not memory.",
)
def main(
    *,
    names: tuple[str, ...],
    quick: bool,
    scale: str | None,
    repetitions: int | None,
    json_file: Path | None,
    tmp: Path,
) -> None:
    """Measure millrace against bare apsw and against huey on SQLite."""
    size = Scale(scale) if scale else Scale.QUICK if quick else Scale.FULL
    is_judged = size is Scale.FULL
    machine = describe(tmp)
    if is_judged and not machine.is_on_disk:
        raise click.UsageError(f"{tmp} is in memory ({machine.filesystem}): give a directory on a disk with --tmp")
    console = Console()
    report.print_machine(console, machine)
    results: dict[Case, list[Measurement]] = {}
    for case in [load(name) for name in names or NAMES]:
        times = repetitions or _repetitions(case, size)
        tell = Console(stderr=True).print
        results[case] = run_case(case, scale=size, repetitions=times, tmp=tmp, tell=tell)
        report.print_case(console, case, results[case], judged=is_judged)
        if json_file is not None:
            # After each case, so that an interrupted run keeps what it has.
            json_file.write_text(json.dumps(report.as_json(machine, results, scale=size), indent=1))
    sys.exit(0 if _is_well(results, is_judged=is_judged) else 1)


def _repetitions(case: Case, scale: Scale) -> int:
    return {Scale.FULL: case.repetitions, Scale.QUICK: 2, Scale.TINY: 1}[scale]


def _is_well(results: dict[Case, list[Measurement]], *, is_judged: bool) -> bool:
    if any(m.error is not None for measurements in results.values() for m in measurements):
        return False
    return not is_judged or all(
        report.judge(target, measurements).is_reached
        for case, measurements in results.items()
        for target in case.targets
    )


if __name__ == "__main__":
    main()
