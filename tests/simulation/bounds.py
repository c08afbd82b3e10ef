"""Bounds of the runtime made small: what takes a thousand rows to meet one of them then takes three.

In a world of a dozen tasks no page is ever full and no step has another one behind it. Half of the worlds are played with
bounds of one to a few rows, so that whatever comes a page or a step at a time is met between its steps by all the rest.
"""

import random
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Final
from unittest.mock import patch

from millrace.actors import cancelling, claiming, expiring, hooks, ledger, openings, progress_due, recovering, upkeep
from millrace.actors.policy import admission, lines, patience, window
from millrace.store import keys, named, records

_SMALL: Final[tuple[tuple[tuple[ModuleType, ...], str, tuple[int, ...]], ...]] = (
    ((window,), "LEAST_PAGE", (1, 2)),
    ((window,), "MOST_PAGE", (2, 4)),
    ((window,), "WINDOW", (4, 16)),
    ((lines,), "STALE", (0, 2)),
    ((ledger, cancelling), "MAX_ROWS", (1, 2, 5)),
    ((claiming,), "LANES_STEP", (1, 3)),
    ((upkeep,), "DUE_STEP", (1, 3)),
    ((recovering,), "STEP", (1, 3)),
    ((expiring,), "STEP", (1, 2)),
    ((hooks,), "PAGE", (1, 3)),
    ((openings,), "MOST_NEWS", (1, 3)),
    ((progress_due,), "MAX_ROWS", (1, 2)),
    ((patience,), "MOST", (1, 2)),
    ((admission,), "MAX_AHEAD", (1, 3)),
    ((named, keys), "CHUNK", (1, 3)),
    ((records,), "PAGE", (1, 2)),
)
"""Where it is read, its name, and what it may be."""


@contextmanager
def drawn_bounds(rnd: random.Random) -> Generator[None, None, None]:
    """As they are, or small, each with a value of its own."""
    with ExitStack() as patched:
        if rnd.random() < 0.5:
            for modules, name, sizes in _SMALL:
                size = rnd.choice(sizes)
                for module in modules:
                    patched.enter_context(patch.object(module, name, size))
        yield
