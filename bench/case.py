"""What a case is made of: values only, no process and no clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Scale(StrEnum):
    """How large a workload is. Targets are judged at FULL only: smaller ones measure mostly start and stop."""

    FULL = "full"
    QUICK = "quick"
    TINY = "tiny"


@dataclass(frozen=True, slots=True)
class Sizes:
    """One number of the workload (tasks, directories, samples) at each scale."""

    full: int
    quick: int
    tiny: int

    def at(self, scale: Scale) -> int:
        """The number for that scale."""
        return {Scale.FULL: self.full, Scale.QUICK: self.quick, Scale.TINY: self.tiny}[scale]


@dataclass(frozen=True, slots=True)
class Site:
    """Where one measurement takes place.

    `directory` is new and empty for each measurement; `shared` is kept over the repetitions of a variant, and is what
    its `prepare` has filled.
    """

    directory: Path
    shared: Path
    scale: Scale


Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to do the workload. `measure` runs alone in a new process; `prepare` in another one, once, before it."""

    name: str
    measure: Callable[[Site], Figures]
    prepare: Callable[[Site], None] | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A figure that the table shows: `key` as `measure` gave it, with its unit."""

    key: str
    title: str
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """What a case is to reach: a bound on a figure of `variant`, or on its ratio to the same figure of `against`.

    Exactly one of `at_least` and `at_most` is given.
    """

    title: str
    variant: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None
    against: str | None = None

    def __post_init__(self) -> None:
        """ValueError unless there is exactly one bound."""
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"expected at_least or at_most, got {self.at_least} and {self.at_most} for {self.title!r}")

    def is_reached_by(self, value: float) -> bool:
        """Whether the value keeps the bound, the bound itself included."""
        if self.at_least is not None:
            return value >= self.at_least
        return self.at_most is not None and value <= self.at_most


@dataclass(frozen=True, slots=True)
class Case:
    """One subject: its variants, what is shown of them, and what they are to reach.

    `repetitions` is how often each variant is measured at full scale; `timeout_s` bounds one measurement, in seconds.
    """

    name: str
    title: str
    variants: tuple[Variant, ...]
    columns: tuple[Column, ...]
    targets: tuple[Target, ...]
    repetitions: int = 5
    timeout_s: float = 600.0

    def variant(self, name: str) -> Variant:
        """The variant of that name. LookupError where there is none."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise LookupError(f"case {self.name!r} has no variant {name!r}; it has {[v.name for v in self.variants]}")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one process has measured: its figures, or the error that ended it."""

    variant: str
    repetition: int
    figures: Figures
    error: str | None = None
