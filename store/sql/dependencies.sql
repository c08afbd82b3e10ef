-- name: has_edges
SELECT EXISTS (SELECT 1 FROM edge);

-- name: insert_edges
INSERT INTO edge (task_id, dep_id) SELECT e.value ->> 0, e.value ->> 1 FROM jsonb_each(:edges) AS e;

-- name: delete_edges
DELETE FROM edge WHERE (task_id, dep_id) IN (SELECT e.value ->> 0, e.value ->> 1 FROM jsonb_each(:edges) AS e);

-- name: delete_edges_of
-- These tasks wait for nothing any more.
DELETE FROM edge WHERE task_id IN (SELECT value FROM json_each(:ids));

-- name: select_dependents
-- Who waits for these, and for which of them.
SELECT json_group_array(json_array(d.task_id, d.dep_id))
FROM json_each(:ids) AS e CROSS JOIN edge AS d INDEXED BY edge_dependent ON d.dep_id = e.value;

-- name: select_dependents_of
-- For readers: the active tasks that wait for one.
SELECT task_id FROM edge INDEXED BY edge_dependent WHERE dep_id = :id ORDER BY task_id;

-- name: move_edges
-- Who waited for any of these waits for another task, once.
INSERT OR IGNORE INTO edge (task_id, dep_id)
SELECT d.task_id, :id FROM json_each(:old) AS e CROSS JOIN edge AS d INDEXED BY edge_dependent ON d.dep_id = e.value;

-- name: delete_edges_to
DELETE FROM edge WHERE dep_id IN (SELECT value FROM json_each(:ids));

-- name: meet_dependencies
-- An element: a task, and how many of its dependencies have settled. Only this column: the row of a task that waits for
-- ten thousand others is long, and this happens ten thousand times to it.
UPDATE task SET unmet = unmet - (e.value ->> 1) FROM jsonb_each(:met) AS e WHERE task.id = e.value ->> 0;

-- name: select_unblocked
-- Those of the tasks that wait for nothing any more.
SELECT json_group_array(t.id)
FROM jsonb_each(:met) AS e CROSS JOIN task AS t ON t.id = e.value ->> 0 WHERE t.unmet = 0 AND t.status = 'blocked';

-- name: resolve_dependencies
-- For each id that was asked for the newest task in its place, by supersede and retry by hand, and where that stands.
-- Such a task is always newer than the one whose place it takes.
WITH RECURSIVE line (asked, id) AS (
    SELECT value, value FROM json_each(:ids)
    UNION
    SELECT line.asked, t.superseded_by FROM line CROSS JOIN task AS t ON t.id = line.id WHERE t.superseded_by IS NOT NULL
    UNION
    SELECT line.asked, h.superseded_by FROM line CROSS JOIN history AS h ON h.id = line.id WHERE h.superseded_by IS NOT NULL
    UNION
    SELECT line.asked, t.id FROM line CROSS JOIN task AS t INDEXED BY task_retry_of ON t.retry_of = line.id
    UNION
    SELECT line.asked, h.id FROM line CROSS JOIN history AS h INDEXED BY history_retry_of ON h.retry_of = line.id)
SELECT json_group_array(json_array(n.asked, n.id, ifnull(t.status, h.status), t.parent_id)) FROM (
    SELECT asked, max(id) AS id FROM line GROUP BY asked) AS n
LEFT JOIN task AS t ON t.id = n.id LEFT JOIN history AS h ON h.id = n.id;

-- name: select_line
-- The task and all that were retries of it, or that it was one of.
WITH RECURSIVE line (id) AS (
    SELECT :id
    UNION
    SELECT h.retry_of FROM line CROSS JOIN history AS h ON h.id = line.id WHERE h.retry_of IS NOT NULL
    UNION
    SELECT h.id FROM line CROSS JOIN history AS h INDEXED BY history_retry_of ON h.retry_of = line.id)
SELECT json_group_array(id) FROM line;

-- name: select_waiters
-- Who waits for these, and for which of them: dependents, and parents for their children.
SELECT json_group_array(json_array(waiter, task)) FROM (
    SELECT d.task_id AS waiter, d.dep_id AS task
    FROM json_each(:ids) AS e CROSS JOIN edge AS d INDEXED BY edge_dependent ON d.dep_id = e.value
    UNION ALL
    SELECT t.parent_id, t.id FROM json_each(:ids) AS e CROSS JOIN task AS t ON t.id = e.value WHERE t.parent_id IS NOT NULL);

-- name: select_all_waiters
-- These, and all that wait for them, directly or through others.
WITH RECURSIVE waits (id) AS (
    SELECT value FROM json_each(:ids)
    UNION
    SELECT t.parent_id FROM waits CROSS JOIN task AS t ON t.id = waits.id WHERE t.parent_id IS NOT NULL
    UNION
    SELECT d.task_id FROM waits CROSS JOIN edge AS d INDEXED BY edge_dependent ON d.dep_id = waits.id)
SELECT json_group_array(id) FROM waits;

-- name: select_late
-- What waits for a start of its body past its deadline, oldest deadline first.
SELECT json_group_array(id) FROM (
    SELECT id FROM task INDEXED BY task_expiring
    WHERE expires_at_ms IS NOT NULL AND executing = 0 AND phase = 1 AND closing IS NULL AND expires_at_ms < :now
    ORDER BY expires_at_ms, id LIMIT :limit);

-- name: extend_deadlines
UPDATE task SET expires_at_ms = max(expires_at_ms, :now) WHERE id IN (SELECT value FROM json_each(:ids)) AND ttl_ms = 0;
