"""One module per case, each with a `CASE`; the order here is the order of the report."""

from importlib import import_module

from bench.case import Case

NAMES = (
    "flat",
    "one_by_one",
    "latency",
    "fanout",
    "siblings",
    "million",
    "parents",
    "cancelling",
    "scan",
    "scrape",
    "looking",
    "telling",
    "groups",
    "behind",
    "limited",
    "dependencies",
    "idle",
    "day",
)


def load(name: str) -> Case:
    """The case of that name, imported when asked for. LookupError for any other name."""
    if name not in NAMES:
        raise LookupError(f"no case {name!r}; there are {', '.join(NAMES)}")
    case = import_module(f"bench.cases.{name}").CASE
    if not isinstance(case, Case):
        raise TypeError(f"expected bench.cases.{name}.CASE to be a Case, got {type(case).__name__}")
    return case
