-- name: settle_rows
-- Moves settled rows into the history. An element: id, status, memo, error, traceback, duration, superseded_by,
-- progress, retries, run_at, started_at, cancel_requested_at, priority, run, round, effective, expires_at, actual_io, bytes_done, bytes_total, log;
-- the rest is the row's.
INSERT INTO history (
    id, name, key, key_hash, label, status, priority, payload, memo, parent_id, parent_round, spawner_id, spawner_run, run, round,
    run_at_ms, retries, max_retries, fail_fast, max_failures, child_concurrency, error, traceback,
    cancel_requested_at_ms, superseded_by, retry_of, options, created_at_ms, started_at_ms, finished_at_ms, duration_s,
    progress, grp, tags, effective, ttl_ms, ttl_first, expires_at_ms, depends_on, on_dependency_failure, series_id, version,
    expected_io, actual_io, bytes_done, bytes_total, log)
SELECT
    t.id, t.name, t.key, t.key_hash, t.label, e.value ->> 1, e.value ->> 12, t.payload, e.value ->> 2, t.parent_id, t.parent_round,
    t.spawner_id, t.spawner_run, e.value ->> 13, e.value ->> 14, e.value ->> 9, e.value ->> 8, t.max_retries,
    t.fail_fast, t.max_failures, t.child_concurrency, e.value ->> 3, e.value ->> 4, e.value ->> 11, e.value ->> 6,
    t.retry_of, t.options, t.created_at_ms, e.value ->> 10, :now, e.value ->> 5, e.value ->> 7, t.grp, t.tags,
    e.value ->> 15, t.ttl_ms, t.ttl_first, e.value ->> 16, t.depends_on, t.on_dependency_failure, t.series_id, t.version,
    t.expected_io, e.value ->> 17, e.value ->> 18, e.value ->> 19, e.value ->> 20
FROM jsonb_each(:settled) AS e CROSS JOIN task AS t ON t.id = e.value ->> 0;

-- name: settle_plain_rows
-- The same for leaves that returned, where nothing else is to be decided. An element is a
-- millrace.model.rows.PlainEnd.
INSERT INTO history (
    id, name, key, key_hash, label, status, priority, payload, memo, parent_id, parent_round, spawner_id, spawner_run, run, round,
    run_at_ms, retries, max_retries, fail_fast, max_failures, child_concurrency, error, traceback,
    cancel_requested_at_ms, superseded_by, retry_of, options, created_at_ms, started_at_ms, finished_at_ms, duration_s,
    progress, grp, tags, effective, ttl_ms, ttl_first, expires_at_ms, depends_on, on_dependency_failure, series_id, version,
    expected_io, actual_io, bytes_done, bytes_total, log)
SELECT
    t.id, t.name, t.key, t.key_hash, t.label, 'completed', t.priority, t.payload, e.value ->> 2, t.parent_id, t.parent_round,
    t.spawner_id, t.spawner_run, t.run, t.round, t.run_at_ms, t.retries, t.max_retries, t.fail_fast, t.max_failures,
    t.child_concurrency, NULL, NULL, NULL, NULL, t.retry_of, t.options, t.created_at_ms, t.started_at_ms, :now,
    e.value ->> 3, e.value ->> 4, t.grp, t.tags, t.effective, t.ttl_ms, t.ttl_first, t.expires_at_ms, t.depends_on,
    t.on_dependency_failure, t.series_id, t.version, t.expected_io, e.value ->> 5, e.value ->> 6, e.value ->> 7, e.value ->> 8
FROM jsonb_each(:settled) AS e CROSS JOIN task AS t ON t.id = e.value ->> 0
WHERE t.run = e.value ->> 1 AND t.executing = 1 AND t.status = 'running' AND t.phase = 1 AND t.closing IS NULL
    AND t.child_total = 0 AND t.rerun IS NULL AND t.series_id IS NULL;

-- name: select_moved
-- Which of these have just been copied into the history, and not been deleted from the queue yet?
SELECT json_group_array(t.id)
FROM json_each(:ids) AS e CROSS JOIN task AS t ON t.id = e.value CROSS JOIN history AS h ON h.id = t.id;

-- name: load_settled
SELECT json_group_array(json_array(e.key, h.id, h.status)) FROM json_each(:ids) AS e CROSS JOIN history AS h ON h.id = e.value;

-- name: load_for_retry
-- What a task that is repeated by hand takes over from the row that ended.
SELECT json_array(
    h.id, h.name, h.key, h.label, h.status, h.priority, h.payload, h.parent_id, h.max_retries, h.fail_fast,
    h.max_failures, h.child_concurrency, h.options, h.grp, h.tags, h.version, h.expected_io,
    (SELECT max(id) FROM (SELECT id FROM task WHERE retry_of = h.id UNION ALL SELECT id FROM history WHERE retry_of = h.id)),
    h.ttl_ms, h.ttl_first, h.depends_on, h.on_dependency_failure)
FROM history AS h WHERE h.id = :id;

-- name: select_oldest
-- A page of the history but for dead letters, earliest settled first, each row with its parent where that is active, else
-- with the first task that still waits for it.
SELECT json_group_array(json_array(seq, finished_at_ms, ifnull(parent, waiter))) FROM (
    SELECT h.seq, h.finished_at_ms, t.id AS parent, (SELECT min(d.task_id) FROM edge AS d WHERE d.dep_id = h.id) AS waiter
    FROM history AS h LEFT JOIN task AS t ON t.id = h.parent_id
    WHERE h.seq > :after AND h.status <> 'dead_letter' ORDER BY h.seq LIMIT :limit);

-- name: select_oldest_dead_letters
-- The same of dead letters.
SELECT json_group_array(json_array(seq, finished_at_ms, ifnull(parent, waiter))) FROM (
    SELECT h.seq, h.finished_at_ms, t.id AS parent, (SELECT min(d.task_id) FROM edge AS d WHERE d.dep_id = h.id) AS waiter
    FROM history AS h INDEXED BY history_dead_letter LEFT JOIN task AS t ON t.id = h.parent_id
    WHERE h.seq > :after AND h.status = 'dead_letter' ORDER BY h.seq LIMIT :limit);

-- name: select_oldest_of_all
-- The same of all rows alike.
SELECT json_group_array(json_array(seq, finished_at_ms, ifnull(parent, waiter))) FROM (
    SELECT h.seq, h.finished_at_ms, t.id AS parent, (SELECT min(d.task_id) FROM edge AS d WHERE d.dep_id = h.id) AS waiter
    FROM history AS h LEFT JOIN task AS t ON t.id = h.parent_id
    WHERE h.seq > :after ORDER BY h.seq LIMIT :limit);

-- name: measure_newest
-- How many of the newest rows, dead letters aside, there are up to a number, and the first of them.
SELECT json_array(count(*), min(seq)) FROM (
    SELECT seq FROM history WHERE status <> 'dead_letter' ORDER BY seq DESC LIMIT :limit);

-- name: measure_newest_dead_letters
SELECT json_array(count(*), min(seq)) FROM (
    SELECT seq FROM history INDEXED BY history_dead_letter WHERE status = 'dead_letter' ORDER BY seq DESC LIMIT :limit);

-- name: measure_newest_of_all
SELECT json_array(count(*), min(seq)) FROM (SELECT seq FROM history ORDER BY seq DESC LIMIT :limit);

-- name: select_released
-- Rows that a parent held until it settled, from a place on: what its children have left of before the places up to which
-- dead letters and other rows are decided; each with the first task that waits for it all the same.
SELECT json_group_array(json_array(parent_round, seq, holder)) FROM (
    SELECT h.parent_round, h.seq, (SELECT min(d.task_id) FROM edge AS d WHERE d.dep_id = h.id) AS holder
    FROM history AS h INDEXED BY history_child
    WHERE h.parent_id = :holder AND (h.parent_round, h.seq) > (:round, :seq)
        AND h.seq <= max(:dead_letters, :others)
        AND h.seq <= CASE h.status WHEN 'dead_letter' THEN :dead_letters ELSE :others END
    ORDER BY h.parent_round, h.seq LIMIT :limit);

-- name: select_released_dependencies
-- The same of what a task waited for until it settled, as its submission declared it; a parent may be active all the same.
SELECT json_group_array(json_array(0, seq, ifnull(parent, waiter))) FROM (
    SELECT h.seq, t.id AS parent, (SELECT min(d.task_id) FROM edge AS d WHERE d.dep_id = h.id) AS waiter
    FROM history AS w CROSS JOIN json_each(w.depends_on) AS e CROSS JOIN history AS h ON h.id = e.value
        LEFT JOIN task AS t ON t.id = h.parent_id
    WHERE w.id = :holder AND h.seq > :seq
        AND h.seq <= CASE h.status WHEN 'dead_letter' THEN :dead_letters ELSE :others END
    ORDER BY h.seq LIMIT :limit);

-- name: delete_flows
-- The state of flows whose rows are about to go.
DELETE FROM flow WHERE id IN (
    SELECT h.id FROM jsonb_each(:rows) AS e CROSS JOIN history AS h ON h.seq = e.value
    WHERE h.name >= 'flow::' AND h.name < 'flow:;');

-- name: rename_settled
UPDATE history SET name = :present, key_hash = hash_key(@key_salt(), :present, key)
WHERE seq IN (SELECT seq FROM history INDEXED BY history_name WHERE name = :name LIMIT :limit);

-- name: delete_tags
-- What rows that are about to go are found by.
DELETE FROM tag WHERE (k, v, task_id) IN (
    SELECT j.key, j.value, h.id
    FROM jsonb_each(:rows) AS e CROSS JOIN history AS h ON h.seq = e.value CROSS JOIN json_each(h.tags) AS j
    WHERE h.tags IS NOT NULL);

-- name: prune_rows
DELETE FROM history WHERE seq IN (SELECT value FROM json_each(:rows));
