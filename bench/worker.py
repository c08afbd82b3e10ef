"""The process in which one measurement happens: `python -m bench.worker CASE VARIANT --directory D ... --out FILE`.

Writes the figures as one JSON object to the file, the peak of resident memory added by itself; an error is a traceback
on standard error and a non-zero exit.
"""

import json
from pathlib import Path

import click

from bench.case import Scale, Site
from bench.cases import load
from bench.memory import peak_rss_mb


@click.command()
@click.argument("case_name")
@click.argument("variant_name")
@click.option("--directory", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--shared", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--scale", type=click.Choice([scale.value for scale in Scale]), default=Scale.FULL.value)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--prepare", is_flag=True, help="Fill the shared directory instead of measuring.")
def main(
    *, case_name: str, variant_name: str, directory: Path, shared: Path, scale: str, out: Path, prepare: bool
) -> None:
    """Measure one variant of one case, once."""
    variant = load(case_name).variant(variant_name)
    site = Site(directory=directory, shared=shared, scale=Scale(scale))
    if prepare:
        if variant.prepare is not None:
            variant.prepare(site)
        return
    figures = dict(variant.measure(site))
    figures.setdefault("rss_mb", peak_rss_mb())
    out.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
