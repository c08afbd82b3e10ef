"""A store of schema version 1 with a row of each kind, as the version of millrace that had it left it when it died."""

from pathlib import Path
from typing import Final

from millrace import Context, Domain
from millrace.store.connection import locate, open_writer
from millrace.store.migrate import load_migrations, migrate

domain: Final = Domain("old")


@domain.task()
def leaf(ctx: Context, n: int) -> int:
    return n


@domain.task(child_concurrency=1)
def parent(ctx: Context, n: int) -> int:
    ctx.spawn_children([leaf.call(number) for number in range(n)])
    return n


@parent.finalize
def end(ctx: Context, memo: int, n: int) -> int:
    return memo + sum(found.memo for found in ctx.child_results(leaf))


COLUMNS: Final = "id, name, key, label, priority, max_retries, created_at_ms, payload"
ROWS: Final = f"""
INSERT INTO task ({COLUMNS}, status, phase) VALUES
    (2, 'old::leaf', 'ready', 'ready', 128, 3, 1000, '{{"n":2}}', 'pending', 1);
INSERT INTO task ({COLUMNS}, status, phase, delayed, run_at_ms) VALUES
    (3, 'old::leaf', 'delayed', 'delayed', 64, 3, 1000, '{{"n":3}}', 'pending', 1, 1, 5000);
INSERT INTO task ({COLUMNS}, status, phase, run, phase_runs, executing, started_at_ms) VALUES
    (4, 'old::leaf', 'running', 'running', 0, 3, 1000, '{{"n":4}}', 'running', 1, 1, 1, 1, 2000);
INSERT INTO task ({COLUMNS}, status, phase, run, phase_runs, memo, child_concurrency, child_total, child_active) VALUES
    (5, 'old::parent', 'waiting', 'waiting', 128, 3, 1000, '{{"n":0}}', 'waiting', 2, 1, 1, '10', 1, 3, 2);
INSERT INTO task ({COLUMNS}, status, phase, parent_id, parent_round, spawner_id, spawner_run, limited) VALUES
    (6, 'old::leaf', 'first', 'first', 128, 3, 1000, '{{"n":6}}', 'pending', 1, 5, 1, 5, 1, 1),
    (7, 'old::leaf', 'second', 'second', 200, 3, 1000, '{{"n":7}}', 'pending', 1, 5, 1, 5, 1, 1);
INSERT INTO task ({COLUMNS}, status, phase, is_flow, flow_open, child_total, child_active) VALUES
    (9, 'flow::old', 'flow', 'flow', 128, 0, 1000, NULL, 'waiting', 2, 1, 1, 1, 1);
INSERT INTO flow VALUES (9, '{{"page":1}}', 4);
INSERT INTO task ({COLUMNS}, status, phase, parent_id, parent_round) VALUES
    (10, 'old::leaf', 'of the flow', 'of the flow', 128, 3, 1000, '{{"n":10}}', 'pending', 1, 9, 1);
INSERT INTO task ({COLUMNS}, status, phase, run, phase_runs, executing, closing, holds_key, cancel_requested_at_ms) VALUES
    (11, 'old::leaf', 'cancelled', 'cancelled', 128, 3, 1000, '{{"n":11}}', 'cancelling', 1, 1, 1, 1, 'cancelled', 2, 3000);
INSERT INTO task ({COLUMNS}, status, phase, run, retries, delayed, run_at_ms, error) VALUES
    (12, 'old::leaf', 'retried', 'retried', 128, 3, 1000, '{{"n":12}}', 'pending', 1, 1, 1, 1, 6000, 'ValueError: once');
INSERT INTO task ({COLUMNS}, status, phase) VALUES
    (13, 'gone::task', 'parked', 'parked', 128, 3, 1000, '{{}}', 'parked', 1);
INSERT INTO history (seq, {COLUMNS}, status, parent_id, parent_round, spawner_id, spawner_run, run, round, retries, fail_fast,
        memo, error, started_at_ms, finished_at_ms) VALUES
    (1, 1, 'old::leaf', 'done', 'done', 128, 3, 1000, '{{"n":1}}', 'completed', NULL, 0, NULL, NULL, 1, 1, 0, 1, '1', NULL, 1, 2),
    (2, 8, 'old::leaf', 'third', 'third', 128, 3, 1000, '{{"n":8}}', 'completed', 5, 1, 5, 1, 1, 1, 0, 1, '8', NULL, 1, 2),
    (3, 14, 'old::leaf', 'dead', 'dead', 128, 3, 1000, '{{"n":14}}', 'dead_letter', NULL, 0, NULL, NULL, 4, 1, 3, 1, NULL,
        'ValueError: always', 1, 2);
UPDATE sqlite_sequence SET seq = 40 WHERE name = 'task';
UPDATE meta SET v = 26 WHERE k = 'pruned';
UPDATE meta SET v = 7 WHERE k = 'epoch';
"""
"""14 tasks; 26 more have been pruned, the last ids among them."""

ENDS: Final = {
    1: ("completed", "1"),
    2: ("completed", "2"),
    3: ("completed", "3"),
    4: ("completed", "4"),
    5: ("completed", str(10 + 6 + 7 + 8)),
    6: ("completed", "6"),
    7: ("completed", "7"),
    8: ("completed", "8"),
    10: ("completed", "10"),
    11: ("cancelled", None),
    12: ("completed", "12"),
    14: ("dead_letter", None),
}
"""How they end; the flow stays open, and no program has the parked one's task."""


def make(path: Path) -> None:
    """Such a store, with all of it in its log."""
    path.touch(0o600)
    connection = open_writer(locate(path))
    migrate(connection, load_migrations()[:1])
    connection.execute(ROWS)
    connection.close()
