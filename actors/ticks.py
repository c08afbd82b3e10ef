"""A tick of progress: what is due of it is written and told, in a transaction of the persistence actor."""

from millrace.actors.ledger import Ledger
from millrace.actors.progress import Board


def write_sample(ledger: Ledger, board: Board) -> None:
    """A tick: write and tell what is due, in the open transaction."""
    sample = board.sample()
    ledger.load([task_id for task_id, _, _ in sample.written] + [task_id for task_id, _ in sample.told])
    for task_id, run, report in sample.written:
        row = ledger.row(task_id)
        if row is not None and (run is None or (row.executing and row.run == run)):
            done = row.bytes_done if report.bytes_done is None else report.bytes_done
            now = (report.fraction, done, report.bytes_total)
            if (row.progress, row.bytes_done, row.bytes_total) != now:
                row.progress, row.bytes_done, row.bytes_total = now
                ledger.changed(row)
    for task_id, report in sample.told:
        row = ledger.row(task_id)
        if row is not None:
            ledger.tell_progress(row, report)
    ledger.effects.answers.append(board.sampled)
