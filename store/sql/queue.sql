-- name: load_rows
-- Many rows come as one JSON text: one step of SQLite, so the interpreter lock is given up once and not once a row.
-- The order of columns is that of millrace.model.rows.Row; a test compares them.
SELECT json_group_array(json_array(
    t.id, t.name, t.key, t.label, t.status, t.phase, t.phase_runs, t.executing, t.priority, t.memo,
    t.parent_id, t.parent_round, t.run, t.round, t.round_run, t.holds_key, t.held, t.limited, t.delayed, t.run_at_ms,
    t.retries, t.max_retries, t.crashes, t.fail_fast, t.max_failures, t.child_concurrency, t.child_total,
    t.child_active, t.child_failed, t.first_failure, t.closing, t.cascade, t.error, t.traceback,
    t.cancel_requested_at_ms, t.superseded_by, t.rerun, t.options, t.is_flow, t.flow_open, t.created_at_ms,
    t.started_at_ms, t.duration_s, t.progress, t.grp, t.lane, t.tags, t.ready_ms, t.waited_ms, t.ages, t.effective,
    t.paused, t.ttl_ms, t.ttl_first, t.expires_at_ms, t.depends_on, t.unmet, t.on_dependency_failure,
    t.failed_dependency, t.series_id, t.version, t.expected_io, t.actual_io, t.bytes_done, t.bytes_total, t.log,
    t.retry_run))
FROM json_each(:ids) AS e CROSS JOIN task AS t ON t.id = e.value;

-- name: update_rows
-- Writes whole rows back; what never changes in a round is left out. Indices are those of Row.
UPDATE task SET
    status = e.value ->> 4, phase = e.value ->> 5, phase_runs = e.value ->> 6, executing = e.value ->> 7,
    priority = e.value ->> 8, memo = e.value ->> 9, run = e.value ->> 12, round = e.value ->> 13,
    round_run = e.value ->> 14, holds_key = e.value ->> 15, held = e.value ->> 16, limited = e.value ->> 17,
    delayed = e.value ->> 18, run_at_ms = e.value ->> 19, retries = e.value ->> 20, max_retries = e.value ->> 21,
    crashes = e.value ->> 22, child_total = e.value ->> 26, child_active = e.value ->> 27,
    child_failed = e.value ->> 28, first_failure = e.value ->> 29, closing = e.value ->> 30,
    cascade = e.value ->> 31, error = e.value ->> 32, traceback = e.value ->> 33,
    cancel_requested_at_ms = e.value ->> 34, superseded_by = e.value ->> 35, rerun = e.value ->> 36,
    options = e.value ->> 37, flow_open = e.value ->> 39, started_at_ms = e.value ->> 41,
    duration_s = e.value ->> 42, progress = e.value ->> 43, grp = e.value ->> 44, lane = e.value ->> 45,
    tags = e.value ->> 46, ready_ms = e.value ->> 47, waited_ms = e.value ->> 48, ages = e.value ->> 49,
    effective = e.value ->> 50, paused = e.value ->> 51, ttl_ms = e.value ->> 52, ttl_first = e.value ->> 53,
    expires_at_ms = e.value ->> 54, depends_on = e.value ->> 55, unmet = e.value ->> 56,
    on_dependency_failure = e.value ->> 57, failed_dependency = e.value ->> 58, series_id = e.value ->> 59,
    version = e.value ->> 60, expected_io = e.value ->> 61, actual_io = e.value ->> 62, bytes_done = e.value ->> 63,
    bytes_total = e.value ->> 64, log = e.value ->> 65, retry_run = e.value ->> 66
FROM jsonb_each(:rows) AS e WHERE task.id = e.value ->> 0;

-- name: update_ways
-- Only what a row goes through until its run has started; few indices hold any of it.
UPDATE task SET
    status = e.value ->> 1, executing = e.value ->> 2, delayed = e.value ->> 3, run = e.value ->> 4,
    phase_runs = e.value ->> 5, started_at_ms = e.value ->> 6, progress = e.value ->> 7, ready_ms = e.value ->> 8,
    waited_ms = e.value ->> 9, effective = e.value ->> 10
FROM jsonb_each(:ways) AS e WHERE task.id = e.value ->> 0;

-- name: update_child_counts
-- Only what a row's children count. An element: id, child_total, child_active, bytes_done.
UPDATE task SET child_total = e.value ->> 1, child_active = e.value ->> 2, bytes_done = e.value ->> 3
FROM jsonb_each(:counts) AS e WHERE task.id = e.value ->> 0;

-- name: insert_tasks
-- An element is what a row has of its own, as store.inserts puts it; what all of them share is bound:
-- forty values to be found in each element took more than half of the statement's time. :started_at_ms is NULL, or the
-- moment at which the first runs of all of them start: then they are as claim_tasks would leave them.
INSERT INTO task (
    id, key, label, payload, priority, lane, grp, parent_id, spawner_id, run_at_ms, tags, depends_on, max_failures, key_hash,
    name, status, phase, parent_round, spawner_run, holds_key, held, limited, delayed, max_retries, fail_fast, child_concurrency,
    options, retry_of, is_flow, flow_open, created_at_ms, ready_ms, ages, ttl_ms, ttl_first, expires_at_ms, unmet,
    on_dependency_failure, series_id, version, expected_io, executing, run, phase_runs, started_at_ms)
SELECT
    e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4, e.value ->> 5, e.value ->> 6, e.value ->> 7,
    e.value ->> 8, e.value ->> 9, e.value ->> 10, e.value ->> 11, e.value ->> 12, e.value ->> 13, :name, :status, :phase, :parent_round,
    :spawner_run, :holds_key, :held, :limited, :delayed, :max_retries, :fail_fast, :child_concurrency, :options, :retry_of,
    :is_flow, :flow_open, :created_at_ms, :ready_ms, :ages, :ttl_ms, :ttl_first, :expires_at_ms, :unmet,
    :on_dependency_failure, :series_id, :version, :expected_io, :started_at_ms IS NOT NULL, :started_at_ms IS NOT NULL,
    :started_at_ms IS NOT NULL, :started_at_ms
FROM jsonb_each(:tasks) AS e;

-- name: insert_tags
-- What tasks are found by: an element is an id and the tags of a row.
INSERT INTO tag (k, v, task_id)
SELECT j.key, j.value, e.value ->> 0 FROM jsonb_each(:tags) AS e CROSS JOIN json_each(e.value ->> 1) AS j;

-- name: delete_tags_of_tasks
-- The same, of rows of the queue as they stand.
DELETE FROM tag WHERE (k, v, task_id) IN (
    SELECT j.key, j.value, t.id
    FROM json_each(:ids) AS e CROSS JOIN task AS t ON t.id = e.value CROSS JOIN json_each(t.tags) AS j
    WHERE t.tags IS NOT NULL);

-- name: begin_round
-- A rerun takes over the payload and options of the newest submission; id, key, parent and created_at_ms stay.
UPDATE task SET
    label = e.value ->> 1, payload = e.value ->> 2, fail_fast = e.value ->> 3, max_failures = e.value ->> 4,
    child_concurrency = e.value ->> 5
FROM jsonb_each(:rounds) AS e WHERE task.id = e.value ->> 0;

-- name: load_claims
-- Those of the tasks that can start, as they will be once they have; with :what neither, those that have, as they are.
-- What has a start already is not among the first: a claim that comes twice must not begin its run twice.
SELECT json_group_array(json_array(
    t.id, t.run + :step, t.phase, t.phase_runs + :step, t.name, t.key, t.label, t.priority, t.payload,
    CASE t.phase WHEN 0 THEN t.memo END, t.parent_id, t.parent_round, t.round, t.round_run, t.limited, t.fail_fast,
    t.retries, t.max_retries, t.crashes, t.options, t.error, t.created_at_ms, t.run_at_ms,
    ifnull(:now, t.started_at_ms), t.cancel_requested_at_ms, t.child_total, t.grp, t.tags,
    CASE :what WHEN 'task' THEN :effective ->> CAST(t.id AS TEXT) ELSE t.effective END, t.ready_ms,
    CASE WHEN :what = 'task' AND t.ttl_first = 1 AND t.phase = 1 AND t.expires_at_ms IS NULL THEN :steady + t.ttl_ms
        ELSE t.expires_at_ms END, t.depends_on, t.retry_of, t.series_id, t.version, t.expected_io))
FROM json_each(:ids) AS e CROSS JOIN task AS t ON t.id = e.value
WHERE CASE :what
    WHEN 'task' THEN t.status = 'pending' AND t.delayed = 0 AND t.held = 0
        AND (t.expires_at_ms IS NULL OR t.expires_at_ms >= :steady OR t.phase = 0)
    WHEN 'hook' THEN t.phase = 4 AND t.executing = 0
    ELSE t.executing = 1 END;

-- name: claim_tasks
-- The start of a run, committed before its body begins. A task that is no longer ready is left alone: it lost the race.
-- The time to live of a task that counts from its first attempt begins here.
UPDATE task SET
    status = 'running', executing = 1, run = run + 1, phase_runs = phase_runs + 1, started_at_ms = :now,
    waited_ms = max(0, :steady - ifnull(ready_ms, :steady)), effective = :effective ->> CAST(id AS TEXT),
    expires_at_ms = CASE WHEN ttl_first = 1 AND phase = 1 AND expires_at_ms IS NULL THEN :steady + ttl_ms
        ELSE expires_at_ms END,
    progress = CASE WHEN child_total THEN progress END
WHERE id IN (SELECT value FROM json_each(:ids))
    AND status = 'pending' AND delayed = 0 AND held = 0
    AND (expires_at_ms IS NULL OR expires_at_ms >= :steady OR phase = 0);

-- name: select_ready
-- The next page of a lane in the order of starts, and how many children at once its parent allows.
SELECT json_array((SELECT child_concurrency FROM task WHERE id = :parent), json((
    SELECT json_group_array(json_array(phase, id, crashes, ifnull(ready_ms, 0), expected_io)) FROM (
        SELECT phase, id, crashes, ready_ms, expected_io FROM task INDEXED BY task_ready
        WHERE lane = :lane AND status = 'pending' AND delayed = 0 AND held = 0 AND (phase, id) > (:first, :second)
        ORDER BY phase, id LIMIT :limit))));

-- name: select_eldest
-- The same by how long they have waited.
SELECT json_array((SELECT child_concurrency FROM task WHERE id = :parent), json((
    SELECT json_group_array(json_array(phase, id, crashes, ifnull(ready_ms, 0), expected_io)) FROM (
        SELECT phase, id, crashes, ready_ms, expected_io FROM task INDEXED BY task_elder
        WHERE lane = :lane AND status = 'pending' AND delayed = 0 AND held = 0 AND ages = 1
            AND (ready_ms, id) > (:first, :second)
        ORDER BY ready_ms, id LIMIT :limit))));

-- name: select_lanes
-- The lanes with ready tasks, by skipping through the index: as fast for a million tasks as for ten.
WITH RECURSIVE found (lane) AS (
    SELECT min(lane) FROM task INDEXED BY task_ready
    WHERE status = 'pending' AND delayed = 0 AND held = 0 AND lane > :after
    UNION ALL
    SELECT (SELECT min(t.lane) FROM task AS t INDEXED BY task_ready
        WHERE t.status = 'pending' AND t.delayed = 0 AND t.held = 0 AND t.lane > found.lane)
    FROM found WHERE lane IS NOT NULL
    LIMIT :limit)
SELECT json_group_array(json_array(f.lane, t.name, t.grp, CASE t.limited WHEN 1 THEN t.parent_id END, t.priority))
FROM found AS f CROSS JOIN task AS t ON t.id = (
    SELECT id FROM task INDEXED BY task_ready
    WHERE lane = f.lane AND status = 'pending' AND delayed = 0 AND held = 0 LIMIT 1)
WHERE f.lane IS NOT NULL;

-- name: select_ageing
SELECT ifnull((SELECT v FROM meta WHERE k = 'ageing'), 0);

-- name: set_ageing
INSERT INTO meta (k, v) VALUES ('ageing', :state) ON CONFLICT (k) DO UPDATE SET v = excluded.v;

-- name: select_page_end
SELECT max(id) FROM (SELECT id FROM task WHERE id > :after ORDER BY id LIMIT :limit);

-- name: let_age
-- Tasks that were stored while waiting raised nobody.
UPDATE task SET ages = 1 WHERE id > :after AND id <= :last AND ages = 0;

-- name: promote_due
UPDATE task SET delayed = 0 WHERE id IN (SELECT value FROM json_each(:ids));

-- name: select_due
SELECT json_group_array(id) FROM (
    SELECT id FROM task INDEXED BY task_delayed WHERE delayed = 1 AND run_at_ms <= :now ORDER BY run_at_ms LIMIT :limit);

-- name: select_next_due
SELECT min(run_at_ms) FROM task INDEXED BY task_delayed WHERE delayed = 1;

-- name: select_due_by_wall_clock
SELECT json_group_array(id) FROM (
    SELECT id FROM task INDEXED BY task_delayed_by_wall_clock
    WHERE delayed = 2 AND run_at_ms <= :now ORDER BY run_at_ms LIMIT :limit);

-- name: select_next_due_by_wall_clock
SELECT min(run_at_ms) FROM task INDEXED BY task_delayed_by_wall_clock WHERE delayed = 2;

-- name: delete_tasks
DELETE FROM task WHERE id IN (SELECT value FROM json_each(:ids));

-- name: find_holders
-- Who has each of these keys: its place in the list, the task, and whether that was cancelled and only winds down under it.
-- The next id comes along: one statement less for every submit.
SELECT json_array(
    (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'task'),
    json((SELECT json_group_array(json(found)) FROM (
        SELECT json_array(e.key, t.id, 0) AS found
        FROM jsonb_each(:keys) AS e CROSS JOIN task AS t INDEXED BY task_key
            ON t.key_hash = e.value ->> 4 AND ifnull(t.parent_id, 0) = e.value ->> 1 AND t.parent_round = e.value ->> 2
            AND t.name = e.value ->> 0 AND t.key = e.value ->> 3 AND t.holds_key = 1
        UNION ALL
        SELECT json_array(e.key, t.id, 1)
        FROM jsonb_each(:keys) AS e CROSS JOIN task AS t INDEXED BY task_unheld_key
            ON t.key_hash = e.value ->> 4 AND t.name = e.value ->> 0 AND t.key = e.value ->> 3 AND t.holds_key <> 1
        WHERE t.holds_key = 2 AND t.status = 'cancelling' AND ifnull(t.parent_id, 0) = e.value ->> 1 AND t.parent_round = e.value ->> 2))));

-- name: has_held
SELECT EXISTS (SELECT 1 FROM task INDEXED BY task_held WHERE held = 1);

-- name: find_held
-- The tasks that wait for a cancelled one of their key: one holds the key, or has lost it to a newer one.
SELECT json_group_array(id) FROM (
    SELECT t.id FROM jsonb_each(:keys) AS e CROSS JOIN task AS t INDEXED BY task_key
        ON t.key_hash = e.value ->> 4 AND ifnull(t.parent_id, 0) = e.value ->> 1 AND t.parent_round = e.value ->> 2
        AND t.name = e.value ->> 0 AND t.key = e.value ->> 3 AND t.holds_key = 1
    WHERE t.held = 1);

-- name: find_spawned
-- What the spawner, in its present round, spawned under these keys, active or settled, and in which of its runs.
SELECT json_group_array(json_array(place, id, status, spawner_run)) FROM (
    SELECT e.key AS place, t.id, t.status, t.spawner_id, t.spawner_run
    FROM jsonb_each(:keys) AS e CROSS JOIN task AS t INDEXED BY task_key
        ON t.key_hash = e.value ->> 4 AND ifnull(t.parent_id, 0) = e.value ->> 1 AND t.parent_round = e.value ->> 2
        AND t.name = e.value ->> 0 AND t.key = e.value ->> 3 AND t.holds_key = 1
    UNION ALL
    SELECT e.key, t.id, t.status, t.spawner_id, t.spawner_run
    FROM jsonb_each(:keys) AS e CROSS JOIN task AS t INDEXED BY task_unheld_key
        ON t.key_hash = e.value ->> 4 AND t.name = e.value ->> 0 AND t.key = e.value ->> 3 AND t.holds_key <> 1
        AND t.parent_id = e.value ->> 1 AND t.parent_round = e.value ->> 2
    UNION ALL
    SELECT e.key, h.id, h.status, h.spawner_id, h.spawner_run
    FROM jsonb_each(:keys) AS e CROSS JOIN history AS h INDEXED BY history_key
        ON h.key_hash = e.value ->> 4 AND h.name = e.value ->> 0 AND h.key = e.value ->> 3
        AND h.parent_id = e.value ->> 1 AND h.parent_round = e.value ->> 2)
WHERE spawner_id = :spawner AND spawner_run > :round_run AND spawner_run <= :run;

-- name: select_children_to_cancel
-- Active children whose end is not a cancel yet: those whose end is open, and those that fail.
SELECT json_group_array(id) FROM (
    SELECT id FROM task INDEXED BY task_child WHERE parent_id = :parent AND closing IS NULL
    UNION ALL
    SELECT id FROM task INDEXED BY task_closing_child
    WHERE parent_id = :parent AND closing IS NOT NULL AND closing IN ('failed', 'dead_letter', 'expired', 'dependency_failed')
    LIMIT :limit);

-- name: closed_ancestor
-- The nearest ancestor, itself included, whose end is decided. Asked only while a cascade is under way.
WITH RECURSIVE line (id, parent_id, closing, status) AS (
    SELECT id, parent_id, closing, status FROM task WHERE id = :id
    UNION ALL
    SELECT t.id, t.parent_id, t.closing, t.status FROM line JOIN task AS t ON t.id = line.parent_id
    WHERE line.closing IS NULL)
SELECT status FROM line WHERE closing IS NOT NULL LIMIT 1;

-- name: ancestors
WITH RECURSIVE line (id, parent_id) AS (
    SELECT id, parent_id FROM task WHERE id = :id
    UNION ALL
    SELECT t.id, t.parent_id FROM line JOIN task AS t ON t.id = line.parent_id)
SELECT json_group_array(id) FROM line;

-- name: select_cascades
SELECT json_group_array(id) FROM task INDEXED BY task_cascade WHERE cascade > 0;

-- name: has_cascades
SELECT EXISTS (SELECT 1 FROM task INDEXED BY task_cascade WHERE cascade > 0);

-- name: select_executing
SELECT json_group_array(id) FROM task INDEXED BY task_executing WHERE executing = 1;

-- name: select_hooks
SELECT json_group_array(id) FROM (
    SELECT id FROM task INDEXED BY task_hook WHERE phase = 4 AND executing = 0 AND id > :after ORDER BY id LIMIT :limit);

-- name: claim_hooks
UPDATE task SET executing = 1, run = run + 1, phase_runs = phase_runs + 1
WHERE id IN (SELECT value FROM json_each(:ids)) AND phase = 4 AND executing = 0;

-- name: select_names
-- The task names in the queue, by skipping through the index: as fast for a million rows as for ten.
WITH RECURSIVE names (name) AS (
    SELECT min(name) FROM task INDEXED BY task_name
    UNION ALL
    SELECT (SELECT min(name) FROM task INDEXED BY task_name WHERE name > names.name) FROM names WHERE name IS NOT NULL)
SELECT json_group_array(name) FROM names WHERE name IS NOT NULL;

-- name: select_named
-- Tasks of a former name, and whether one of the present name holds the key of each; millrace.model.rows.Renamed.
SELECT json_group_array(json_array(
    t.id, t.grp, CASE t.limited WHEN 1 THEN t.parent_id END, t.priority,
    t.holds_key = 1 AND EXISTS (SELECT 1 FROM task AS o INDEXED BY task_key
        WHERE o.key_hash = hash_key(@key_salt(), :present, t.key) AND ifnull(o.parent_id, 0) = ifnull(t.parent_id, 0)
            AND o.parent_round = t.parent_round AND o.name = :present AND o.key = t.key AND o.holds_key = 1)))
FROM (SELECT * FROM task INDEXED BY task_name WHERE name = :name LIMIT :limit) AS t;

-- name: rename_tasks
-- An element: id, lane, whether its key is another's now. That one it does not wait for.
UPDATE task SET
    name = :name, key_hash = hash_key(@key_salt(), :name, task.key), lane = e.value ->> 1,
    holds_key = CASE WHEN e.value ->> 2 THEN 0 ELSE holds_key END, held = CASE WHEN e.value ->> 2 THEN 0 ELSE held END
FROM jsonb_each(:tasks) AS e WHERE task.id = e.value ->> 0;

-- name: rename_series
UPDATE OR IGNORE series SET name = :present, submission = json_set(submission, '$.name', :present) WHERE name = :name;

-- name: select_to_park
SELECT json_group_array(id) FROM (
    SELECT id FROM task WHERE name = :name AND status = 'pending' AND phase < 2 LIMIT :limit);

-- name: select_parked
SELECT json_group_array(json_array(id, name)) FROM (
    SELECT id, name FROM task INDEXED BY task_parked WHERE status = 'parked' AND id > :after ORDER BY id LIMIT :limit);

-- name: select_parents
-- Active tasks with children in their round, how many of those have settled, and whether any has told of bytes.
SELECT json_group_array(json_array(
    id, parent_id, child_total - child_active, child_total, round, bytes_done IS NOT NULL))
FROM task INDEXED BY task_parent WHERE child_total > 0;
