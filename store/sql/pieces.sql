-- Where lists and counts look for tasks: a piece is one index over one table, and the templates at the end make statements
-- of each. `store.pieces` puts them together: page_active_child, count_active_child and so on. A piece names the column
-- that its ids come from; `t` is a row of the queue, `h` one of the history. Pieces that are asked together have no task in
-- common.

-- piece: active_any by t.id
FROM task AS t WHERE TRUE

-- piece: settled_any by h.id
FROM history AS h WHERE TRUE

-- piece: active_child by t.id
FROM task AS t INDEXED BY task_child WHERE t.parent_id = :parent AND t.closing IS NULL

-- piece: active_closing_child by t.id
FROM task AS t INDEXED BY task_closing_child WHERE t.parent_id = :parent AND t.closing IS NOT NULL

-- piece: settled_child by h.id
FROM history AS h INDEXED BY history_child WHERE h.parent_id = :parent

-- piece: active_grouped by t.id
FROM task AS t INDEXED BY task_group WHERE t.grp = :grp

-- piece: settled_grouped by h.id
FROM history AS h INDEXED BY history_group WHERE h.grp = :grp

-- piece: active_tagged by g.task_id
FROM tag AS g CROSS JOIN task AS t ON t.id = g.task_id WHERE g.k = :k AND g.v = :v

-- piece: settled_tagged by g.task_id
FROM tag AS g CROSS JOIN history AS h ON h.id = g.task_id WHERE g.k = :k AND g.v = :v

-- piece: active_tag_prefix by t.id
-- A blob comes after every text, so the range of the index ends where no key begins so any more.
FROM (SELECT DISTINCT task_id FROM tag WHERE k >= :tag_prefix AND k < ifnull(:tag_prefix_end, x'')) AS g
    CROSS JOIN task AS t ON t.id = g.task_id WHERE TRUE

-- piece: settled_tag_prefix by h.id
FROM (SELECT DISTINCT task_id FROM tag WHERE k >= :tag_prefix AND k < ifnull(:tag_prefix_end, x'')) AS g
    CROSS JOIN history AS h ON h.id = g.task_id WHERE TRUE

-- piece: active_named by t.id
FROM json_each(:names) AS n CROSS JOIN task AS t INDEXED BY task_name ON t.name = n.value WHERE TRUE

-- piece: settled_named by h.id
FROM json_each(:names) AS n CROSS JOIN history AS h INDEXED BY history_name ON h.name = n.value WHERE TRUE

-- piece: active_domain by t.id
FROM task AS t INDEXED BY task_name WHERE t.name >= :low AND t.name < :high

-- piece: settled_domain by h.id
FROM history AS h INDEXED BY history_name WHERE h.name >= :low AND h.name < :high

-- piece: active_keyed by t.id
-- The index has a hash of name and key: where no names are given, those that are there are stepped through.
FROM (
    WITH RECURSIVE present (name) AS (
        SELECT min(name) FROM task INDEXED BY task_name WHERE :names IS NULL
        UNION ALL
        SELECT (SELECT min(name) FROM task INDEXED BY task_name WHERE name > present.name)
        FROM present WHERE name IS NOT NULL)
    SELECT value AS name FROM json_each(:names) UNION ALL SELECT name FROM present WHERE name IS NOT NULL) AS n
CROSS JOIN task AS t INDEXED BY task_key
    ON t.key_hash = hash_key(@key_salt(), n.name, :key) AND t.name = n.name AND t.key = :key AND t.holds_key = 1 WHERE TRUE

-- piece: active_unheld_keyed by t.id
-- Few tasks do not hold their key: those that wind down, and those that may come twice.
FROM task AS t INDEXED BY task_unheld_key WHERE t.holds_key <> 1 AND t.key = :key

-- piece: settled_keyed by h.id
FROM (
    WITH RECURSIVE present (name) AS (
        SELECT min(name) FROM history INDEXED BY history_name WHERE :names IS NULL
        UNION ALL
        SELECT (SELECT min(name) FROM history INDEXED BY history_name WHERE name > present.name)
        FROM present WHERE name IS NOT NULL)
    SELECT value AS name FROM json_each(:names) UNION ALL SELECT name FROM present WHERE name IS NOT NULL) AS n
CROSS JOIN history AS h INDEXED BY history_key
    ON h.key_hash = hash_key(@key_salt(), n.name, :key) AND h.name = n.name AND h.key = :key WHERE TRUE

-- piece: active_running by t.id
FROM task AS t INDEXED BY task_executing WHERE t.executing = 1 AND t.status = 'running'

-- piece: active_blocked by t.id
FROM task AS t INDEXED BY task_blocked WHERE t.status = 'blocked'

-- piece: active_waiting by t.id
FROM task AS t INDEXED BY task_waiting WHERE t.status = 'waiting'

-- piece: active_cancelling by t.id
FROM task AS t INDEXED BY task_cancelling WHERE t.status = 'cancelling'

-- piece: active_parked by t.id
FROM task AS t INDEXED BY task_parked WHERE t.status = 'parked'

-- piece: active_paused by t.id
FROM task AS t INDEXED BY task_paused WHERE t.status = 'paused'

-- piece: active_paused_scope by t.id
-- Queued tasks of what is paused are stored as pending; one whose group and domain both are is found by its group.
FROM (
    SELECT q.id FROM pause AS p CROSS JOIN task AS q INDEXED BY task_group ON q.grp = p.name
    WHERE p.scope = 'group'
    UNION ALL
    SELECT q.id FROM pause AS p CROSS JOIN task AS q INDEXED BY task_name
        ON q.name >= p.name || '::' AND q.name < p.name || ':;'
    WHERE p.scope = 'domain' AND NOT EXISTS (SELECT 1 FROM pause AS o WHERE o.scope = 'group' AND o.name = q.grp)
) AS s CROSS JOIN task AS t ON t.id = s.id
WHERE t.status = 'pending'

-- piece: settled_unsuccessful by h.id
FROM json_each(:statuses) AS s CROSS JOIN history AS h INDEXED BY history_unsuccessful
    ON h.status = s.value AND h.status <> 'completed' WHERE TRUE

-- template: page
-- The newest ids of a piece that every filter lets pass.
SELECT @id @piece
    AND @id < :before AND @id >= :floor AND @passes ORDER BY @id DESC LIMIT :limit

-- template: count
-- How many of a piece every filter lets pass.
SELECT count(*) @piece
    AND @passes

-- template: probe
-- How many there are in a piece, before the filters and up to a bound.
SELECT count(*) FROM (SELECT 1 @piece LIMIT :cap)
