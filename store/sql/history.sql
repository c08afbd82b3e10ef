-- name: settle_rows
-- Moves settled rows into the history. An element: id, status, memo, error, traceback, duration, superseded_by,
-- progress, retries, run_at, started_at, cancel_requested_at, priority, run, round; the rest is the row's.
INSERT INTO history (
    id, name, key, label, status, priority, payload, memo, parent_id, parent_round, spawner_id, spawner_run, run, round,
    run_at_ms, retries, max_retries, fail_fast, max_failures, child_concurrency, error, traceback,
    cancel_requested_at_ms, superseded_by, retry_of, options, created_at_ms, started_at_ms, finished_at_ms, duration_s,
    progress)
SELECT
    t.id, t.name, t.key, t.label, e.value ->> 1, e.value ->> 12, t.payload, e.value ->> 2, t.parent_id, t.parent_round,
    t.spawner_id, t.spawner_run, e.value ->> 13, e.value ->> 14, e.value ->> 9, e.value ->> 8, t.max_retries,
    t.fail_fast, t.max_failures, t.child_concurrency, e.value ->> 3, e.value ->> 4, e.value ->> 11, e.value ->> 6,
    t.retry_of, t.options, t.created_at_ms, e.value ->> 10, :now, e.value ->> 5, e.value ->> 7
FROM json_each(:settled) AS e CROSS JOIN task AS t ON t.id = e.value ->> 0;

-- name: settle_plain_rows
-- The same for leaves that returned, where nothing else is to be decided. An element: id, run, memo, duration, progress.
INSERT INTO history (
    id, name, key, label, status, priority, payload, memo, parent_id, parent_round, spawner_id, spawner_run, run, round,
    run_at_ms, retries, max_retries, fail_fast, max_failures, child_concurrency, error, traceback,
    cancel_requested_at_ms, superseded_by, retry_of, options, created_at_ms, started_at_ms, finished_at_ms, duration_s,
    progress)
SELECT
    t.id, t.name, t.key, t.label, 'completed', t.priority, t.payload, e.value ->> 2, t.parent_id, t.parent_round,
    t.spawner_id, t.spawner_run, t.run, t.round, t.run_at_ms, t.retries, t.max_retries, t.fail_fast, t.max_failures,
    t.child_concurrency, NULL, NULL, NULL, NULL, t.retry_of, t.options, t.created_at_ms, t.started_at_ms, :now,
    e.value ->> 3, e.value ->> 4
FROM json_each(:settled) AS e CROSS JOIN task AS t ON t.id = e.value ->> 0
WHERE t.run = e.value ->> 1 AND t.executing = 1 AND t.status = 'running' AND t.phase = 1 AND t.closing IS NULL
    AND t.child_total = 0 AND t.rerun IS NULL;

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
    h.max_failures, h.child_concurrency, h.options,
    (SELECT max(id) FROM (SELECT id FROM task WHERE retry_of = h.id UNION ALL SELECT id FROM history WHERE retry_of = h.id)))
FROM history AS h WHERE h.id = :id;
