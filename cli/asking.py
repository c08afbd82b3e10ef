"""What commands are asked for: filters and ids from the command line, as values or as one-line errors."""

import time
from collections.abc import Sequence

import click

from millrace.cli.filters import FilterError, Query, parse


def parsed(terms: Sequence[str]) -> Query:
    """The filter; a one-line error where it says nothing."""
    try:
        return parse(terms)
    except FilterError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None


def wall_ms() -> int:
    """Now."""
    return time.time_ns() // 1_000_000
