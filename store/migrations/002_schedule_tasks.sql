-- What decides when a task starts: groups and lanes, ageing, pauses, time to live, dependencies, series, tags, IO.
-- The queue is rebuilt, as a constraint changes; the sequence of ids is carried over, so that none comes back.

DROP VIEW respawned_child;

CREATE TABLE new_task (
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
    -- its parent bounds its children: only so many of its lanes run at once
    limited INTEGER NOT NULL DEFAULT 0,
    -- until run_at_ms: 1 by the steady clock, 2 by the wall clock, 3 the same, once its series has been looked at
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
    closing TEXT CONSTRAINT closing_is_an_end CHECK (closing IN (
        'failed', 'dead_letter', 'cancelled', 'superseded', 'expired', 'dependency_failed')),
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
    -- what bounds its start: its group, and the lane of the ready queue that it waits in (model.lanes)
    grp TEXT,
    lane INTEGER NOT NULL,
    tags TEXT CONSTRAINT tags_decode CHECK (tags IS NULL OR json_valid(tags)),
    -- waiting for a start: since when, by the steady clock and less what it had waited before; and whether that raises it
    ready_ms INTEGER,
    waited_ms INTEGER NOT NULL DEFAULT 0,
    ages INTEGER NOT NULL DEFAULT 0,
    -- the priority by which its last run started; NULL: the stored one
    effective INTEGER,
    -- 1: the body was preempted, 2: it was stopped by a pause, 3: it has not begun and its series is paused
    paused INTEGER NOT NULL DEFAULT 0,
    ttl_ms INTEGER,
    ttl_first INTEGER NOT NULL DEFAULT 0,
    expires_at_ms INTEGER,
    -- dependencies: as declared, how many are unsettled, and what the failure of one means
    depends_on TEXT,
    unmet INTEGER NOT NULL DEFAULT 0 CONSTRAINT unmet_counts_down CHECK (unmet >= 0),
    on_dependency_failure TEXT NOT NULL DEFAULT 'cancel',
    failed_dependency INTEGER,
    series_id INTEGER,
    version INTEGER NOT NULL DEFAULT 1,
    expected_io TEXT,
    actual_io TEXT,
    bytes_done INTEGER,
    bytes_total INTEGER,
    log TEXT,
    CONSTRAINT running_is_executing CHECK (status <> 'running' OR executing = 1),
    CONSTRAINT executing_is_running CHECK (executing = 0 OR status IN ('running', 'cancelling')),
    CONSTRAINT started_is_counted CHECK (executing = 0 OR run >= 1)
) STRICT;

INSERT INTO new_task (
    id, name, key, label, status, phase, phase_runs, executing, priority, payload, memo, parent_id, parent_round,
    spawner_id, spawner_run, run, round, round_run, holds_key, held, limited, delayed, run_at_ms, retries,
    max_retries, crashes, fail_fast, max_failures, child_concurrency, child_total, child_active, child_failed,
    first_failure, closing, cascade, error, traceback, cancel_requested_at_ms, superseded_by, retry_of, rerun,
    options, is_flow, flow_open, created_at_ms, started_at_ms, duration_s, progress, lane, ready_ms)
SELECT
    id, name, key, label, status, phase, phase_runs, executing, priority, payload, memo, parent_id, parent_round,
    spawner_id, spawner_run, run, round, round_run, holds_key, held, limited, delayed, run_at_ms, retries,
    max_retries, crashes, fail_fast, max_failures, child_concurrency, child_total, child_active, child_failed,
    first_failure, closing, cascade, error, traceback, cancel_requested_at_ms, superseded_by, retry_of, rerun,
    options, is_flow, flow_open, created_at_ms, started_at_ms, duration_s, progress,
    lane_of(name, NULL, CASE limited WHEN 1 THEN parent_id END, priority), created_at_ms
FROM task;

DELETE FROM sqlite_sequence WHERE name = 'new_task';
INSERT INTO sqlite_sequence (name, seq) SELECT 'new_task', seq FROM sqlite_sequence WHERE name = 'task';

DROP TABLE task;
ALTER TABLE new_task RENAME TO task;

CREATE UNIQUE INDEX task_key ON task (name, ifnull(parent_id, 0), parent_round, key) WHERE holds_key = 1;
CREATE INDEX task_unheld_key ON task (name, key) WHERE holds_key <> 1;
CREATE INDEX task_ready ON task (lane, phase, id) WHERE status = 'pending' AND delayed = 0 AND held = 0;
-- The same by how long they have waited, for those whom waiting raises.
CREATE INDEX task_elder ON task (lane, ready_ms, id) WHERE status = 'pending' AND delayed = 0 AND held = 0 AND ages = 1;
CREATE INDEX task_delayed ON task (run_at_ms) WHERE delayed = 1;
CREATE INDEX task_delayed_by_wall_clock ON task (run_at_ms) WHERE delayed = 2;
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
-- What a deadline can keep from starting: what waits for a run of its body, be it the first or another.
CREATE INDEX task_expiring ON task (expires_at_ms)
    WHERE expires_at_ms IS NOT NULL AND executing = 0 AND phase = 1 AND closing IS NULL;
CREATE INDEX task_blocked ON task (id) WHERE status = 'blocked';
CREATE INDEX task_paused ON task (id) WHERE status = 'paused';
CREATE INDEX task_waiting ON task (id) WHERE status = 'waiting';
CREATE INDEX task_cancelling ON task (id) WHERE status = 'cancelling';
CREATE INDEX task_group ON task (grp) WHERE grp IS NOT NULL;
CREATE INDEX task_series ON task (series_id) WHERE series_id IS NOT NULL;

ALTER TABLE history ADD COLUMN grp TEXT;
ALTER TABLE history ADD COLUMN tags TEXT;
ALTER TABLE history ADD COLUMN effective INTEGER;
ALTER TABLE history ADD COLUMN ttl_ms INTEGER;
ALTER TABLE history ADD COLUMN ttl_first INTEGER NOT NULL DEFAULT 0;
ALTER TABLE history ADD COLUMN expires_at_ms INTEGER;
ALTER TABLE history ADD COLUMN depends_on TEXT;
ALTER TABLE history ADD COLUMN on_dependency_failure TEXT NOT NULL DEFAULT 'cancel';
ALTER TABLE history ADD COLUMN series_id INTEGER;
ALTER TABLE history ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE history ADD COLUMN expected_io TEXT;
ALTER TABLE history ADD COLUMN actual_io TEXT;
ALTER TABLE history ADD COLUMN bytes_done INTEGER;
ALTER TABLE history ADD COLUMN bytes_total INTEGER;
ALTER TABLE history ADD COLUMN log TEXT;

-- Counts and lists take what they need from these alone: id and status come along, so that no row is read. The newest
-- runs that ended in some way come first of their name and status.
CREATE INDEX history_name ON history (name, status, seq, id);
CREATE INDEX history_group ON history (grp, id, status) WHERE grp IS NOT NULL;
CREATE INDEX history_unsuccessful ON history (status, id) WHERE status <> 'completed';
DROP INDEX history_key;
CREATE INDEX history_key ON history (key, name, id);
DROP INDEX history_child;
CREATE INDEX history_child ON history (parent_id, parent_round, seq, status, id) WHERE parent_id IS NOT NULL;
-- What settled children had of bytes, to sum it up without their rows.
CREATE INDEX history_bytes ON history (parent_id, parent_round, bytes_done, bytes_total, status)
    WHERE parent_id IS NOT NULL AND bytes_done IS NOT NULL;
CREATE INDEX history_series ON history (series_id) WHERE series_id IS NOT NULL;

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

-- Tags of active and settled tasks, to find tasks by them; a row's own are in its column tags.
CREATE TABLE tag (
    k TEXT NOT NULL,
    v TEXT NOT NULL,
    task_id INTEGER NOT NULL,
    PRIMARY KEY (k, v, task_id)
) STRICT, WITHOUT ROWID;

-- Dependencies that are unsettled, or that failed and can be retried by hand.
CREATE TABLE edge (
    task_id INTEGER NOT NULL,
    dep_id INTEGER NOT NULL,
    PRIMARY KEY (task_id, dep_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX edge_dependent ON edge (dep_id, task_id);

-- Series of runs. The id is that of the first run, and stays.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    schedule TEXT NOT NULL CONSTRAINT schedule_decodes CHECK (json_valid(schedule)),
    submission TEXT NOT NULL CONSTRAINT submission_decodes CHECK (json_valid(submission)),
    -- the schedule: 0 is the submission's, 1 that of its task's decorator; 2: the same, and start() made it
    in_code INTEGER NOT NULL DEFAULT 0,
    -- 0: its policy is ALLOW
    holds_key INTEGER NOT NULL DEFAULT 1,
    state TEXT NOT NULL DEFAULT 'active' CONSTRAINT state_is_known CHECK (state IN ('active', 'paused', 'ended')),
    paused_at_ms INTEGER,
    -- the run that is active; NULL: the next is only due
    run_id INTEGER,
    -- the next due time that has not come; NULL: that depends on when its run ends, or the run that waits has it
    next_run_ms INTEGER,
    -- the clock by which that is looked at: 0 none, 1 the steady one, 2 the wall clock
    watch INTEGER NOT NULL DEFAULT 0,
    last_run_ms INTEGER,
    runs INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    -- due times that were missed and are still to be made up for
    owed TEXT CONSTRAINT owed_decodes CHECK (owed IS NULL OR json_valid(owed))
) STRICT;

CREATE UNIQUE INDEX series_key ON series (name, key) WHERE state <> 'ended' AND holds_key = 1;
CREATE INDEX series_due ON series (watch, next_run_ms) WHERE state = 'active' AND watch > 0;

-- What is paused: scope is 'scheduler', 'domain' or 'group'.
CREATE TABLE pause (
    scope TEXT NOT NULL CONSTRAINT scope_is_known CHECK (scope IN ('scheduler', 'domain', 'group')),
    name TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    until_ms INTEGER,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;

-- What was set at run time, with the code's own value that it replaced: it holds until that differs.
CREATE TABLE tuning (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    replaced TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
