-- name: insert_flow
INSERT INTO flow (id, state, revision) VALUES (:id, :state, 1);

-- name: load_flow
SELECT state, revision FROM flow WHERE id = :id;

-- name: update_flow
UPDATE flow SET state = coalesce(:state, state), revision = revision + 1 WHERE id = :id;

-- name: find_flow
-- The newest active flow under a key, else the newest. The names of settled flows are stepped through.
WITH RECURSIVE names (name) AS (
    SELECT min(name) FROM history INDEXED BY history_name WHERE name >= 'flow::' AND name < 'flow:;'
    UNION ALL
    SELECT (SELECT min(name) FROM history INDEXED BY history_name WHERE name > names.name AND name < 'flow:;')
    FROM names WHERE name IS NOT NULL)
SELECT id FROM (
    SELECT id, 0 AS settled FROM task INDEXED BY task_flow WHERE key = :key AND is_flow = 1
    UNION ALL
    SELECT h.id, 1 FROM names CROSS JOIN history AS h INDEXED BY history_key
        ON h.key_hash = hash_key(@key_salt(), names.name, :key) AND h.key = :key AND h.name = names.name)
ORDER BY settled, id DESC LIMIT 1;
