"""A writer inside a transaction of a new store, and ledgers over it."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from millrace.actors.ledger import Ledger
from millrace.model.catalog import Traits
from millrace.store.connection import locate, set_writer
from millrace.store.opening import open_store
from millrace.store.writer import Writer

NOW, STEADY = 1_700_000_000_000, 1_700_000_000_007


class NoCatalog:
    """The program has no tasks."""

    def traits(self, name: str) -> Traits | None:
        return None

    def aliases(self) -> dict[str, str]:
        return {}


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    connection = open_store(locate(tmp_path / "store.db"))
    set_writer(connection)
    made = Writer(connection)
    made.begin()
    yield made
    made.rollback()
    made.close()


@pytest.fixture
def ledger_of(writer: Writer) -> Callable[..., Ledger]:
    """Ledgers at wall time ``NOW`` and steady time ``STEADY``, to whose events nobody listens."""
    return partial(Ledger, writer, NoCatalog(), NOW, STEADY, is_heard=False)
