-- name: check_pages
PRAGMA integrity_check(10);

-- name: write_anew
VACUUM;

-- name: check_active_or_settled
-- What must hold in every committed state: this and the following give ids of tasks that break their rule.
-- A task is in the queue or in the history, never in both.
SELECT t.id FROM task AS t CROSS JOIN history AS h ON h.id = t.id LIMIT 10;

-- name: check_parents
-- The parent of an active child is active.
SELECT id FROM task AS c WHERE parent_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = c.parent_id) LIMIT 10;

-- name: check_waits
-- What waits has an active child, or is an open flow.
SELECT id FROM task INDEXED BY task_waiting WHERE status = 'waiting' AND child_active = 0 AND flow_open = 0 LIMIT 10;

-- name: check_children
-- A parent's count of active children is right.
SELECT id FROM task AS p INDEXED BY task_parent WHERE child_total > 0 AND child_active <> (
    (SELECT count(*) FROM task INDEXED BY task_child WHERE parent_id = p.id AND closing IS NULL)
    + (SELECT count(*) FROM task INDEXED BY task_closing_child WHERE parent_id = p.id AND closing IS NOT NULL)) LIMIT 10;

-- name: check_dependencies
-- A task's count of what it waits for is right.
SELECT id FROM task AS t WHERE unmet <> (SELECT count(*) FROM edge WHERE task_id = t.id) LIMIT 10;

-- name: check_ids
-- All ids that were given are accounted for: active, settled or pruned. No row where they are.
SELECT 0 WHERE ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'task'), 0)
    <> (SELECT count(*) FROM task) + (SELECT count(*) FROM history) + (SELECT v FROM meta WHERE k = 'pruned');
