-- name: select_record
-- One task, active or settled. The order of columns is that of store.records.
SELECT @active() FROM task WHERE id = :id
UNION ALL
SELECT @settled() FROM history WHERE id = :id;

-- name: select_child_ids
-- The children of a task, ever, by id.
SELECT id FROM task INDEXED BY task_child WHERE parent_id = :parent AND closing IS NULL
UNION ALL
SELECT id FROM task INDEXED BY task_closing_child WHERE parent_id = :parent AND closing IS NOT NULL
UNION ALL
SELECT id FROM history INDEXED BY history_child WHERE parent_id = :parent
ORDER BY id;

-- name: select_records
-- Those of a list of tasks that are there, by id.
SELECT @active(t) FROM json_each(:ids) AS e CROSS JOIN task AS t ON t.id = e.value
UNION ALL
SELECT @settled(h) FROM json_each(:ids) AS e CROSS JOIN history AS h ON h.id = e.value
ORDER BY 1;

-- name: select_status
SELECT @status() FROM task WHERE id = :id UNION ALL SELECT status FROM history WHERE id = :id;

-- name: select_max_id
SELECT seq FROM sqlite_sequence WHERE name = 'task';

-- name: select_child_results
-- Settled children of a round in the order of their commits, from a place on.
SELECT seq, id, name, key, label, status, memo, error FROM history INDEXED BY history_child
WHERE parent_id = :parent AND parent_round = :round AND seq > :after AND (:status IS NULL OR status = :status)
    AND NOT EXISTS (SELECT 1 FROM respawned_child AS r WHERE r.seq = history.seq)
ORDER BY seq LIMIT :limit;

-- name: select_round
-- The present round of an active task; a settled one's is its last.
SELECT round, child_total, child_active FROM task WHERE id = :id
UNION ALL
SELECT round, NULL, NULL FROM history WHERE id = :id;

-- name: count_active_children
SELECT
    (SELECT count(*) FROM task INDEXED BY task_child
        WHERE parent_id = :parent AND closing IS NULL AND parent_round = :round)
    + (SELECT count(*) FROM task INDEXED BY task_closing_child
        WHERE parent_id = :parent AND closing IS NOT NULL AND parent_round = :round);

-- name: count_settled_children
SELECT status, sum(n) FROM (
    SELECT status, count(*) AS n FROM history INDEXED BY history_child
    WHERE parent_id = :parent AND parent_round = :round GROUP BY status
    UNION ALL
    SELECT status, -count(*) FROM respawned_child
    WHERE parent_id = :parent AND parent_round = :round GROUP BY status)
GROUP BY status HAVING sum(n) > 0;

-- name: count_child_errors
-- Failed children by the first line of their error: most frequent first, ties by text.
SELECT substr(error, 1, instr(error || char(10), char(10)) - 1) AS line, count(*) AS n
FROM history INDEXED BY history_child
WHERE parent_id = :parent AND parent_round = :round AND status IN ('failed', 'dead_letter', 'expired', 'dependency_failed')
    AND NOT EXISTS (SELECT 1 FROM respawned_child AS r WHERE r.seq = history.seq)
GROUP BY line ORDER BY n DESC, line LIMIT 20;

-- name: select_first_failure
-- The first of a round's failed children that counts.
SELECT json_array(id, name, label, status, error) FROM history INDEXED BY history_child
WHERE parent_id = :parent AND parent_round = :round AND status IN ('failed', 'dead_letter', 'expired', 'dependency_failed')
    AND NOT EXISTS (SELECT 1 FROM respawned_child AS r WHERE r.seq = history.seq)
ORDER BY seq LIMIT 1;

-- name: begin_read
BEGIN;
