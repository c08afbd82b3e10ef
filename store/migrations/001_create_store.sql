-- The first schema. Times are integer milliseconds since the epoch, UTC, always bound and never read from SQLite's clock.
-- One id space: the queue's AUTOINCREMENT sequence, so an id never comes back, not even after its row is pruned; and the
-- sequence is the number of tasks ever stored: active ones, settled ones and meta's 'pruned' add up to it.

CREATE TABLE meta (
    k TEXT PRIMARY KEY,
    v INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (k, v) VALUES ('epoch', 0), ('pruned', 0), ('syncs', 0);

-- The queue: one row for each active task and flow.
CREATE TABLE task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    label TEXT NOT NULL,
    status TEXT NOT NULL
        CONSTRAINT queue_holds_active_tasks CHECK (status IN (
            'blocked', 'pending', 'running', 'paused', 'waiting', 'cancelling', 'parked')),
    -- what executes, or executes next: 0 finalizer, 1 body, 2 children, 3 children after the finalizer, 4 cancel hook
    phase INTEGER NOT NULL CONSTRAINT phase_is_known CHECK (phase BETWEEN 0 AND 4),
    phase_runs INTEGER NOT NULL DEFAULT 0,
    -- a start is committed and no end yet
    executing INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL CONSTRAINT priority_is_a_byte CHECK (priority BETWEEN 0 AND 255),
    payload TEXT CONSTRAINT payload_decodes CHECK (payload IS NULL OR json_valid(payload)),
    memo TEXT,
    -- the tree: a child belongs to the round of its parent in which it was spawned
    parent_id INTEGER CONSTRAINT parent_is_older CHECK (parent_id < id),
    parent_round INTEGER NOT NULL DEFAULT 0,
    spawner_id INTEGER,
    spawner_run INTEGER,
    -- the fence: outcomes of another run than this one are dropped
    run INTEGER NOT NULL DEFAULT 0,
    round INTEGER NOT NULL DEFAULT 1,
    -- the number of the last run before this round
    round_run INTEGER NOT NULL DEFAULT 0,
    -- 1 holds its key, 0 never did (policy ALLOW), 2 has lost it to a cancel or a newer task and winds down
    holds_key INTEGER NOT NULL DEFAULT 1,
    -- waits for a cancelled task of its key to wind down
    held INTEGER NOT NULL DEFAULT 0,
    -- its parent bounds its children: the parent's supervisor offers it to the dispatcher
    limited INTEGER NOT NULL DEFAULT 0,
    delayed INTEGER NOT NULL DEFAULT 0,
    run_at_ms INTEGER,
    retries INTEGER NOT NULL DEFAULT 0 CONSTRAINT retries_count_up CHECK (retries >= 0),
    max_retries INTEGER NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0,
    fail_fast INTEGER NOT NULL DEFAULT 1,
    max_failures ANY,
    child_concurrency INTEGER,
    -- children of the present round
    child_total INTEGER NOT NULL DEFAULT 0,
    child_active INTEGER NOT NULL DEFAULT 0
        CONSTRAINT active_children_are_children CHECK (child_active BETWEEN 0 AND child_total),
    child_failed INTEGER NOT NULL DEFAULT 0,
    first_failure TEXT,
    -- the end that is decided, while body, children or hook still wind down
    closing TEXT CONSTRAINT closing_is_an_end CHECK (closing IN ('failed', 'dead_letter', 'cancelled', 'superseded')),
    -- active children have still to be told of the end: 1 that it was cancelled, 2 that a parent failed
    cascade INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    traceback TEXT,
    cancel_requested_at_ms INTEGER,
    superseded_by INTEGER,
    retry_of INTEGER,
    -- the newest duplicate of a running task, whole: its next round
    rerun TEXT,
    -- what the submission itself said of retry, time-out and executor
    options TEXT,
    is_flow INTEGER NOT NULL DEFAULT 0,
    flow_open INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL,
    started_at_ms INTEGER,
    duration_s REAL,
    progress REAL,
    CONSTRAINT running_is_executing CHECK (status <> 'running' OR executing = 1),
    CONSTRAINT executing_is_running CHECK (executing = 0 OR status IN ('running', 'cancelling')),
    CONSTRAINT started_is_counted CHECK (executing = 0 OR run >= 1)
) STRICT;

CREATE UNIQUE INDEX task_key ON task (name, ifnull(parent_id, 0), parent_round, key) WHERE holds_key = 1;
CREATE INDEX task_unheld_key ON task (name, key) WHERE holds_key <> 1;
CREATE INDEX task_ready ON task (priority, phase, id)
    WHERE status = 'pending' AND delayed = 0 AND limited = 0 AND held = 0;
CREATE INDEX task_offer ON task (parent_id, priority, phase, id)
    WHERE status = 'pending' AND delayed = 0 AND limited = 1 AND held = 0;
CREATE INDEX task_delayed ON task (run_at_ms) WHERE delayed = 1;
-- Two of them, so that a start, which changes no end, touches neither.
CREATE INDEX task_child ON task (parent_id) WHERE parent_id IS NOT NULL AND closing IS NULL;
CREATE INDEX task_closing_child ON task (parent_id, closing) WHERE parent_id IS NOT NULL AND closing IS NOT NULL;
CREATE INDEX task_parent ON task (id) WHERE child_total > 0;
CREATE INDEX task_executing ON task (id) WHERE executing = 1;
CREATE INDEX task_hook ON task (id) WHERE phase = 4;
CREATE INDEX task_cascade ON task (id) WHERE cascade > 0;
CREATE INDEX task_parked ON task (id) WHERE status = 'parked';
CREATE INDEX task_flow ON task (key) WHERE is_flow = 1;
CREATE INDEX task_retry_of ON task (retry_of) WHERE retry_of IS NOT NULL;

-- The history: one row for each settled task, in the order of their commits. A row never changes.
CREATE TABLE history (
    -- not AUTOINCREMENT: the newest row may go only where it is nobody's child, and only children are paged by seq
    seq INTEGER PRIMARY KEY,
    id INTEGER NOT NULL UNIQUE,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    label TEXT NOT NULL,
    status TEXT NOT NULL
        CONSTRAINT history_holds_settled_tasks CHECK (status IN (
            'completed', 'failed', 'dead_letter', 'cancelled', 'superseded', 'expired', 'dependency_failed')),
    priority INTEGER NOT NULL,
    payload TEXT,
    memo TEXT,
    parent_id INTEGER,
    parent_round INTEGER NOT NULL,
    spawner_id INTEGER,
    spawner_run INTEGER,
    run INTEGER NOT NULL,
    round INTEGER NOT NULL,
    run_at_ms INTEGER,
    retries INTEGER NOT NULL,
    max_retries INTEGER NOT NULL,
    fail_fast INTEGER NOT NULL,
    max_failures ANY,
    child_concurrency INTEGER,
    error TEXT,
    traceback TEXT,
    cancel_requested_at_ms INTEGER,
    superseded_by INTEGER,
    retry_of INTEGER,
    options TEXT,
    created_at_ms INTEGER NOT NULL,
    started_at_ms INTEGER,
    finished_at_ms INTEGER NOT NULL,
    duration_s REAL,
    progress REAL,
    CONSTRAINT failures_say_why CHECK (status NOT IN ('failed', 'dead_letter') OR error IS NOT NULL)
) STRICT;

CREATE INDEX history_key ON history (key, name);
-- In the order of commits, and with the status along: counting the children of a round reads no row.
CREATE INDEX history_child ON history (parent_id, parent_round, seq, status) WHERE parent_id IS NOT NULL;
CREATE INDEX history_dead_letter ON history (seq) WHERE status = 'dead_letter';
CREATE INDEX history_retry_of ON history (retry_of) WHERE retry_of IS NOT NULL;

-- Children that count no more: they failed, and a retry of their spawner has spawned them anew.
-- (The plus takes the affinity away, without which the index on the expression is used.)
CREATE VIEW respawned_child AS
SELECT h.seq, h.parent_id, h.parent_round, h.status FROM history AS h
WHERE h.parent_id IS NOT NULL AND h.spawner_run IS NOT NULL
    AND h.status IN ('failed', 'dead_letter', 'expired', 'dependency_failed')
    AND (EXISTS (SELECT 1 FROM task AS t INDEXED BY task_key
            WHERE t.name = h.name AND ifnull(t.parent_id, 0) = +h.parent_id AND t.parent_round = h.parent_round
                AND t.key = h.key AND t.holds_key = 1 AND t.spawner_id = h.spawner_id AND t.spawner_run > h.spawner_run)
        OR EXISTS (SELECT 1 FROM task AS t INDEXED BY task_unheld_key
            WHERE t.name = h.name AND t.key = h.key AND t.holds_key <> 1 AND t.parent_id = h.parent_id
                AND t.parent_round = h.parent_round AND t.spawner_id = h.spawner_id AND t.spawner_run > h.spawner_run)
        OR EXISTS (SELECT 1 FROM history AS n INDEXED BY history_key
            WHERE n.key = h.key AND n.name = h.name AND n.parent_id = h.parent_id AND n.parent_round = h.parent_round
                AND n.spawner_id = h.spawner_id AND n.spawner_run > h.spawner_run));

-- The state of flows, active and settled.
CREATE TABLE flow (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
