-- name: insert_flow
INSERT INTO flow (id, state, revision) VALUES (:id, :state, 1);

-- name: load_flow
SELECT state, revision FROM flow WHERE id = :id;

-- name: update_flow
UPDATE flow SET state = coalesce(:state, state), revision = revision + 1 WHERE id = :id;

-- name: find_flow
-- The newest active flow under a key, else the newest.
SELECT id FROM (
    SELECT id, 0 AS settled FROM task INDEXED BY task_flow WHERE key = :key AND is_flow = 1
    UNION ALL
    SELECT id, 1 FROM history INDEXED BY history_key WHERE key = :key AND name >= 'flow::' AND name < 'flow:;')
ORDER BY settled, id DESC LIMIT 1;
