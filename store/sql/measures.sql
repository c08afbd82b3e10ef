-- name: measure_queue
-- Active tasks by name and status as callers see them, and since when the first of the ready ones has been ready.
SELECT name, shown, count(*), min(ready_since_ms) FROM (
    SELECT t.name AS name,
        CASE WHEN t.status = 'pending' AND t.delayed <> 0 THEN 'delayed' ELSE @status(t) END AS shown,
        CASE WHEN t.status = 'pending' AND t.delayed = 0 AND t.held = 0
                AND NOT EXISTS (SELECT 1 FROM pause WHERE scope = 'scheduler') AND NOT @is_paused(t)
            THEN ifnull(t.ready_ms, t.created_at_ms) END AS ready_since_ms
    FROM task AS t)
GROUP BY name, shown;

-- name: measure_schedules
-- When each task with a schedule runs next, and when a run of it last ended well: by the end of each series, not its rows.
-- (A run that waits for its time says itself when that is.)
SELECT s.name, min(CASE s.state WHEN 'active' THEN
    ifnull((SELECT t.run_at_ms FROM task AS t WHERE t.id = s.run_id AND t.run = 0), s.next_run_ms) END), max((
    SELECT h.finished_at_ms FROM history AS h INDEXED BY history_series
    WHERE h.series_id = s.id AND h.status = 'completed' ORDER BY h.seq DESC LIMIT 1))
FROM series AS s WHERE s.state <> 'ended' GROUP BY s.name;
