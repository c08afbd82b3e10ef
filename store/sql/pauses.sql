-- name: select_pauses
SELECT scope, name, since_ms, until_ms FROM pause;

-- name: put_pause
-- Paused again, a scope is paused since then, until the new deadline.
INSERT INTO pause (scope, name, since_ms, until_ms) VALUES (:scope, :name, :since, :until)
ON CONFLICT (scope, name) DO UPDATE SET until_ms = excluded.until_ms;

-- name: delete_pause
DELETE FROM pause WHERE scope = :scope AND name = :name;

-- name: count_startable
-- Tasks, queued or running, that no group's or domain's pause holds: what a pause of the scheduler holds or lets go.
SELECT count(*) FROM task WHERE status IN ('pending', 'running', 'paused') AND NOT @is_paused();

-- name: count_startable_of_group
SELECT count(*) FROM task INDEXED BY task_group
WHERE grp = :name AND status IN ('pending', 'running', 'paused') AND NOT @is_paused();

-- name: count_startable_of_domain
-- By the index of names: the tasks of other domains are not looked at.
SELECT count(*) FROM task INDEXED BY task_name
WHERE name >= :first AND name < :last AND status IN ('pending', 'running', 'paused') AND NOT @is_paused();

-- name: shift_ready
-- A pause is over: the time that tasks were ready in it, up to where another pause took over, does not make them older.
-- (ready_ms is when the task became ready, less what it had waited before.)
UPDATE task SET ready_ms = ready_ms + max(0, @paused_since() - max(:since, ready_ms + waited_ms))
WHERE status = 'pending' AND ages = 1 AND delayed = 0 AND ready_ms IS NOT NULL;

-- name: shift_ready_of_group
UPDATE task INDEXED BY task_group
SET ready_ms = ready_ms + max(0, @paused_since() - max(:since, ready_ms + waited_ms))
WHERE grp = :name AND status = 'pending' AND ages = 1 AND delayed = 0 AND ready_ms IS NOT NULL;

-- name: shift_ready_of_domain
UPDATE task INDEXED BY task_name
SET ready_ms = ready_ms + max(0, @paused_since() - max(:since, ready_ms + waited_ms))
WHERE name >= :first AND name < :last AND status = 'pending' AND ages = 1 AND delayed = 0 AND ready_ms IS NOT NULL;

-- name: select_stopped
-- Tasks whose body a pause has stopped, and that nothing pauses any more.
SELECT json_group_array(id) FROM (
    SELECT id FROM task INDEXED BY task_paused
    WHERE status = 'paused' AND paused = 2 AND NOT @is_paused()
        AND NOT EXISTS (SELECT 1 FROM pause WHERE scope = 'scheduler')
    ORDER BY id);

-- name: select_preempted
SELECT json_group_array(id) FROM (
    SELECT id FROM task INDEXED BY task_paused WHERE status = 'paused' AND paused = 1 ORDER BY id);

-- name: select_unpaused
-- Those of a list of tasks that no group's or domain's pause holds.
SELECT json_group_array(t.id) FROM json_each(:ids) AS e CROSS JOIN task AS t ON t.id = e.value WHERE NOT @is_paused(t);

-- name: select_groups
-- The groups of those of a list of tasks that have one, active or settled.
SELECT json_group_array(json_array(id, grp)) FROM (
    SELECT t.id, t.grp FROM json_each(:ids) AS e CROSS JOIN task AS t ON t.id = e.value WHERE t.grp IS NOT NULL
    UNION ALL
    SELECT h.id, h.grp FROM json_each(:ids) AS e CROSS JOIN history AS h ON h.id = e.value WHERE h.grp IS NOT NULL);
