"""A rerun that ends in the transaction in which it begins: its record is that of the newer submission, whole."""

from collections.abc import Callable

import msgspec

from millrace.actors import settling
from millrace.actors.ledger import Ledger
from millrace.actors.reruns import begin_rerun
from millrace.model.lanes import make_lane
from millrace.model.new_tasks import NewTask
from millrace.model.rows import NewRow
from millrace.store.writer import Writer

NAME = "play::body"
NEWER = NewTask(
    NAME, "k", "new", 7, "[2]", 5, "skip", group="new", tags={"new": "2"}, version=4, expected_io="[1,2,3,4]"
)


def found_by(writer: Writer, tag: str) -> list[int]:
    """The tasks that have a tag."""
    return [row[0] for row in writer.connection.execute("SELECT task_id FROM tag WHERE k = ?", (tag,))]


def test_a_rerun_that_ends_as_it_begins(writer: Writer, ledger_of: Callable[..., Ledger]) -> None:
    """Found by the tags that its record has; payload, group and version are of one submission, not of two."""
    lane = make_lane(NAME, "old", None, 128)
    row = NewRow(
        id=1,
        name=NAME,
        key="k",
        label="old",
        status="running",
        phase=1,
        priority=128,
        payload="[1]",
        created_at_ms=0,
        grp="old",
        lane=lane.number,
        tags='{"old":"1"}',
    )
    writer.insert_tasks([row], row.created_at_ms)
    ledger = ledger_of()
    running = ledger.row(1)
    assert running is not None
    running.rerun = msgspec.json.encode(NEWER).decode()
    begin_rerun(ledger, running)
    settling.close(ledger, running, "expired")
    ledger.flush()
    record = writer.connection.execute(
        "SELECT label, payload, grp, tags, version, expected_io, priority, max_retries, status FROM history"
    ).get
    assert record == ("new", "[2]", "new", '{"new":"2"}', 4, "[1,2,3,4]", 7, 5, "expired")
    assert (found_by(writer, "old"), found_by(writer, "new")) == ([], [1])
