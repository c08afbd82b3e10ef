-- name: find_root
-- The newest active root task with a key. One of them holds it; others wind down, or never held it.
SELECT id FROM (
    SELECT t.id FROM json_each(:names) AS n CROSS JOIN task AS t INDEXED BY task_key
        ON t.key_hash = hash_key(@key_salt(), n.value, :key) AND ifnull(t.parent_id, 0) = 0 AND t.parent_round = 0
        AND t.name = n.value AND t.key = :key AND t.holds_key = 1
    UNION ALL
    SELECT t.id FROM json_each(:names) AS n CROSS JOIN task AS t INDEXED BY task_unheld_key
        ON t.key_hash = hash_key(@key_salt(), n.value, :key) AND t.name = n.value AND t.key = :key AND t.holds_key <> 1
    WHERE t.parent_id IS NULL)
ORDER BY id DESC LIMIT 1;

-- name: find_newest_settled
-- The newest settled task with a key, root or child.
SELECT max((
    SELECT h.id FROM history AS h INDEXED BY history_key
    WHERE h.key_hash = hash_key(@key_salt(), n.value, :key) AND h.name = n.value AND h.key = :key ORDER BY h.id DESC LIMIT 1))
FROM json_each(:names) AS n;

-- name: count_queue
-- Of the pages of the smallest index, not of its entries.
SELECT count(*) FROM task;

-- name: count_history
SELECT count(*) FROM history;

-- name: count_unsuccessful_by_status
SELECT status, count(*) FROM history INDEXED BY history_unsuccessful WHERE status <> 'completed' GROUP BY status;

-- name: select_tag_values
-- How many tasks, active and settled, have each value of a tag.
SELECT v, count(*) AS n FROM tag WHERE k = :k GROUP BY v ORDER BY n DESC, v;

-- name: select_tag_values_of_domain
SELECT g.v, count(*) AS n FROM tag AS g LEFT JOIN task AS t ON t.id = g.task_id LEFT JOIN history AS h ON h.id = g.task_id
WHERE g.k = :k AND ifnull(t.name, h.name) >= :low AND ifnull(t.name, h.name) < :high
GROUP BY g.v ORDER BY n DESC, g.v;

-- name: select_tag_keys
-- By skipping through the index, from key to key.
WITH RECURSIVE keys (k) AS (
    SELECT min(k) FROM tag WHERE k >= :tag_prefix AND k < ifnull(:tag_prefix_end, x'')
    UNION ALL
    SELECT (SELECT min(k) FROM tag WHERE k > keys.k AND k < ifnull(:tag_prefix_end, x'')) FROM keys WHERE k IS NOT NULL)
SELECT k FROM keys WHERE k IS NOT NULL;

-- name: select_tag_keys_of_domain
-- The same; of each key tasks are looked at until one is of the domain.
WITH RECURSIVE keys (k) AS (
    SELECT min(k) FROM tag WHERE k >= :tag_prefix AND k < ifnull(:tag_prefix_end, x'')
    UNION ALL
    SELECT (SELECT min(k) FROM tag WHERE k > keys.k AND k < ifnull(:tag_prefix_end, x'')) FROM keys WHERE k IS NOT NULL)
SELECT k FROM keys WHERE k IS NOT NULL AND EXISTS (
    SELECT 1 FROM tag AS g LEFT JOIN task AS t ON t.id = g.task_id LEFT JOIN history AS h ON h.id = g.task_id
    WHERE g.k = keys.k AND ifnull(t.name, h.name) >= :low AND ifnull(t.name, h.name) < :high);

-- name: select_dead_letters
-- The newest that nobody has repeated by hand, of a domain or of all.
SELECT id FROM history AS h INDEXED BY history_dead_letter
WHERE status = 'dead_letter' AND (:low IS NULL OR name >= :low AND name < :high)
    AND NOT EXISTS (SELECT 1 FROM task WHERE retry_of = h.id)
    AND NOT EXISTS (SELECT 1 FROM history WHERE retry_of = h.id)
ORDER BY seq DESC LIMIT :limit;

-- name: select_newest_ends
SELECT seq FROM history INDEXED BY history_name WHERE name = :name AND status = :status ORDER BY seq DESC LIMIT :limit;

-- name: select_past_runs
SELECT h.status, h.duration_s, h.actual_io FROM json_each(:places) AS e CROSS JOIN history AS h ON h.seq = e.value;

-- name: select_newest_completed
-- Of each name, found by skipping through the index, the newest completed runs, oldest first. Flows have none.
WITH RECURSIVE names (name) AS (
    SELECT min(name) FROM history INDEXED BY history_name
    UNION ALL
    SELECT (SELECT min(name) FROM history INDEXED BY history_name WHERE name > names.name)
    FROM names WHERE name IS NOT NULL)
SELECT names.name, h.duration_s, h.actual_io
FROM names CROSS JOIN history AS h ON h.seq IN (
    SELECT seq FROM history INDEXED BY history_name
    WHERE name = names.name AND status = 'completed' ORDER BY seq DESC LIMIT :limit)
WHERE h.duration_s IS NOT NULL ORDER BY names.name, h.seq;

-- name: select_running
-- Whose body or finalizer executes; hooks do not count.
SELECT id FROM task INDEXED BY task_executing
WHERE executing = 1 AND phase < 2 AND (:low IS NULL OR name >= :low AND name < :high) ORDER BY id;

-- name: select_active_groups
-- The groups with active tasks, by skipping through the index, and how many: counted by index too.
WITH RECURSIVE names (grp) AS (
    SELECT min(grp) FROM task INDEXED BY task_group WHERE grp IS NOT NULL
    UNION ALL
    SELECT (SELECT min(grp) FROM task INDEXED BY task_group WHERE grp IS NOT NULL AND grp > names.grp)
    FROM names WHERE grp IS NOT NULL)
SELECT grp, (SELECT count(*) FROM task AS t INDEXED BY task_group WHERE t.grp = names.grp) FROM names WHERE grp IS NOT NULL;

-- name: select_active_groups_of_domain
-- The same of one domain's tasks: a group spans all domains, so each of its rows is looked at.
SELECT grp, count(*) FROM task INDEXED BY task_group WHERE grp IS NOT NULL AND name >= :low AND name < :high GROUP BY grp;

-- name: count_not_pending_by_group
-- Active tasks of groups that are neither pending nor paused, and of those that execute a body or a finalizer so many.
SELECT grp, is_running, count(*) FROM (
    SELECT grp, name, phase < 2 AS is_running FROM task INDEXED BY task_executing WHERE executing = 1
    UNION ALL
    SELECT grp, name, 0 FROM task INDEXED BY task_cancelling WHERE status = 'cancelling' AND executing = 0
    UNION ALL
    SELECT grp, name, 0 FROM task INDEXED BY task_blocked WHERE status = 'blocked'
    UNION ALL
    SELECT grp, name, 0 FROM task INDEXED BY task_waiting WHERE status = 'waiting'
    UNION ALL
    SELECT grp, name, 0 FROM task INDEXED BY task_parked WHERE status = 'parked')
WHERE grp IS NOT NULL AND (:low IS NULL OR name >= :low AND name < :high) GROUP BY grp, is_running;
