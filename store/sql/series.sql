-- name: load_series
-- The order of columns is that of millrace.model.rows.SeriesRow; a test compares them.
SELECT json_group_array(json_array(
    s.id, s.name, s.key, s.schedule, s.submission, s.in_code, s.holds_key, s.state, s.paused_at_ms, s.run_id,
    s.next_run_ms, s.watch, s.last_run_ms, s.runs, s.skipped, s.owed))
FROM json_each(:ids) AS e CROSS JOIN series AS s ON s.id = e.value;

-- name: insert_series
-- In place of one that has ended, should its id be the same: its last run goes on as the first of this one.
INSERT OR REPLACE INTO series (
    id, name, key, schedule, submission, in_code, holds_key, state, paused_at_ms, run_id, next_run_ms, watch,
    last_run_ms, runs, skipped, owed)
SELECT
    e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4, e.value ->> 5, e.value ->> 6,
    e.value ->> 7, e.value ->> 8, e.value ->> 9, e.value ->> 10, e.value ->> 11, e.value ->> 12, e.value ->> 13,
    e.value ->> 14, e.value ->> 15
FROM jsonb_each(:series) AS e;

-- name: update_series
-- What never changes is left out. Indices are those of SeriesRow.
UPDATE series SET
    schedule = e.value ->> 3, submission = e.value ->> 4, state = e.value ->> 7, paused_at_ms = e.value ->> 8,
    run_id = e.value ->> 9, next_run_ms = e.value ->> 10, watch = e.value ->> 11, last_run_ms = e.value ->> 12,
    runs = e.value ->> 13, skipped = e.value ->> 14, owed = e.value ->> 15
FROM jsonb_each(:series) AS e WHERE series.id = e.value ->> 0;

-- name: delete_series
DELETE FROM series WHERE id = :id;

-- name: find_series_of_key
SELECT id FROM series INDEXED BY series_key WHERE name = :name AND key = :key AND state <> 'ended' AND holds_key = 1;

-- name: find_series_of_task
-- The series of which this is the id, or the id of a run, active or settled.
SELECT coalesce(
    (SELECT id FROM series WHERE id = :id), (SELECT series_id FROM task WHERE id = :id),
    (SELECT series_id FROM history WHERE id = :id));

-- name: delete_ended_series
-- A key that is submitted again forgets that its series was ended.
DELETE FROM series WHERE name = :name AND key = :key AND state = 'ended';

-- name: select_series_of_code
-- Those that follow a task's decorator. Series are few: all are read, once a start.
SELECT json_group_array(id) FROM series WHERE in_code > 0;

-- name: select_due_series
-- Those to be looked at by a clock: their next due time has come, whether their run waits for it or not.
SELECT json_group_array(id) FROM (
    SELECT id FROM series INDEXED BY series_due
    WHERE state = 'active' AND watch > 0 AND watch = :watch AND next_run_ms <= :now ORDER BY next_run_ms LIMIT :limit);

-- name: select_next_due_series
SELECT min(next_run_ms) FROM series INDEXED BY series_due WHERE state = 'active' AND watch > 0 AND watch = :watch;

-- name: select_late_runs
-- Runs of series that have been waiting for their time since before a moment, and have not begun: read once a start.
SELECT json_group_array(id) FROM (
    SELECT id FROM task INDEXED BY task_series
    WHERE series_id IS NOT NULL AND status = 'pending' AND delayed IN (1, 2) AND run = 0 AND run_at_ms < :before
    ORDER BY id);

-- name: list_series
-- A run that has not begun says itself when it is due; while one is under way the next is due as its series says.
SELECT s.id, s.name, s.key, s.schedule,
    CASE WHEN s.state = 'paused' THEN NULL WHEN t.run = 0 THEN ifnull(t.run_at_ms, t.created_at_ms) ELSE s.next_run_ms END,
    ifnull(t.started_at_ms, s.last_run_ms), s.runs, s.skipped, s.state = 'paused'
FROM series AS s LEFT JOIN task AS t ON t.id = s.run_id
WHERE s.state <> 'ended' ORDER BY s.id;
