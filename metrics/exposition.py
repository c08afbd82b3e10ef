"""Readings as text, in Prometheus' format 0.0.4 and as OpenMetrics 1.0.

prometheus_client can write both, and takes 60 ms for 200 tasks. Here every line is kept as it was written last, with what stands
in it before the value, and is written anew only where its value has changed: under 2 ms where every task has run. The text comes
in blocks, and a block that nothing has changed in is the same object as before, so that nobody need compress it again.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, compress, count
from math import inf, isnan
from operator import ne
from typing import Final, Generic, TypeVar

from millrace.metrics.readings import Readings
from millrace.model.families import FAMILIES, PREFIX, Family, Labels

_BLOCK_LINES: Final = 100
"""Of about 100 bytes each: enough to be compressed well, and few enough that those around one that changes cost little."""

_Counted = tuple[list[int], float]
"""Buckets and sum of a histogram."""
_Value = TypeVar("_Value")


class Exposition:
    """See the module. One thread at a time. What it keeps grows with the series, which are bounded."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], _Kept[float]] = {}
        """By scheduler and family."""
        self._histograms: dict[tuple[str, str], _Kept[_Counted]] = {}

    def render(self, readings: Sequence[tuple[str, Readings]], *, is_openmetrics: bool) -> list[bytes]:
        """All families of all schedulers, by name of the scheduler: one text, in blocks."""
        blocks: list[bytes] = []
        for family in FAMILIES.values():
            samples = [self._samples(scheduler, family, read) for scheduler, read in readings]
            if any(samples):
                blocks.append(_header(family, is_openmetrics=is_openmetrics).encode())
                for own in samples:
                    blocks += own
        if is_openmetrics:
            blocks.append(b"# EOF\n")
        return blocks

    def _samples(self, scheduler: str, family: Family, read: Readings) -> list[bytes]:
        key = (scheduler, family.name)
        if family.kind == "histogram":
            histograms = self._histograms.get(key)
            if histograms is None:
                step = _BLOCK_LINES // len(family.bounds)
                histograms = self._histograms[key] = _Kept(partial(_histogram_writer, scheduler, family), step)
            measured = read.histograms[family.name]
            return histograms.blocks_of(list(measured), [(one.buckets, one.total) for one in measured.values()])
        numbers = self._numbers.get(key)
        if numbers is None:
            numbers = self._numbers[key] = _Kept(partial(_line_writer, scheduler, family), _BLOCK_LINES)
        series = read.numbers[family.name]
        return numbers.blocks_of(list(series), list(series.values()))


class _Kept(Generic[_Value]):
    """All lines of a scheduler's family, as they were written last: an entry a series.

    Args:
        writer: makes what writes the entries of series, given their labels: it is told which of them, and its value.
        step: how many entries a block has.
    """

    def __init__(self, writer: Callable[[list[Labels]], Callable[[int, _Value], str]], step: int) -> None:
        self._writer = writer
        self._step = step
        self._labels: list[Labels] = []
        self._write = writer([])
        self._values: Sequence[_Value | None] = []
        self._entries: list[str] = []
        self._blocks: list[bytes] = []

    def blocks_of(self, labels: list[Labels], values: list[_Value]) -> list[bytes]:
        """The lines of these series with these values."""
        if labels != self._labels:
            self._labels, self._write = labels, self._writer(labels)
            self._values = [None] * len(labels)
            self._entries = [""] * len(labels)
            self._blocks = [b""] * -(-len(labels) // self._step)
        entries, write = self._entries, self._write
        for number, start in enumerate(range(0, len(values), self._step)):
            end = start + self._step
            now, before = values[start:end], self._values[start:end]
            if now != before:
                for at in compress(count(), map(ne, now, before)):
                    entries[start + at] = write(start + at, now[at])
                self._blocks[number] = "".join(entries[start:end]).encode()
        self._values = values
        return self._blocks


def _line_writer(scheduler: str, family: Family, labels: list[Labels]) -> Callable[[int, float], str]:
    """Writes the line of a number."""
    heads = [f"{PREFIX}{family.name}{{{_labels(scheduler, family, one)}}} " for one in labels]
    return lambda at, value: f"{heads[at]}{number(value) if value else '0'}\n"


def _histogram_writer(scheduler: str, family: Family, labels: list[Labels]) -> Callable[[int, _Counted], str]:
    """Writes all lines of a histogram. Put together from pieces, which takes half as long as a template of that length."""
    all_pieces = [_histogram_pieces(scheduler, family, one) for one in labels]

    def write(at: int, value: _Counted) -> str:
        buckets, total = value
        pieces = all_pieces[at]
        cumulative = list(accumulate(buckets))
        every = cumulative[-1]
        pieces[1::2] = map(repr, (*cumulative, every, total if every else 0))
        return "".join(pieces)

    return write


def _histogram_pieces(scheduler: str, family: Family, labels: Labels) -> list[str]:
    """What stands before its first number, room for the number, what stands before the next, and so on: each bucket, count, sum."""
    name, own = f"{PREFIX}{family.name}", _labels(scheduler, family, labels)
    bounds = [*(repr(bound) for bound in family.bounds), "+Inf"]
    heads = [f'{name}_bucket{{{own},le="{bound}"}} ' for bound in bounds]
    heads += [f"{name}_count{{{own}}} ", f"{name}_sum{{{own}}} "]
    pieces = [""] * (2 * len(heads) + 1)
    pieces[::2] = [heads[0], *(f"\n{head}" for head in heads[1:]), "\n"]
    return pieces


def _labels(scheduler: str, family: Family, labels: Labels) -> str:
    names = ("scheduler", *family.labels)
    return ",".join(f'{name}="{escape(value)}"' for name, value in zip(names, (scheduler, *labels), strict=True))


def _header(family: Family, *, is_openmetrics: bool) -> str:
    """OpenMetrics names a counter without ``_total`` and an info without ``_info``; the older format knows no info."""
    name, kind = f"{PREFIX}{family.name}", str(family.kind)
    if is_openmetrics:
        name = name.removesuffix("_total") if kind == "counter" else name
        name = name.removesuffix("_info") if kind == "info" else name
    elif kind == "info":
        kind = "gauge"
    return f"# HELP {name} {family.help}\n# TYPE {name} {kind}\n"


def escape(value: str) -> str:
    """A label's value, as both formats quote it."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def number(value: float) -> str:
    """A value, as both formats write it."""
    if -inf < value < inf:
        return repr(value)
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"
