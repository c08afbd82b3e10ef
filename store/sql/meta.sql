-- name: next_id
SELECT seq + 1 FROM sqlite_sequence WHERE name = 'task';

-- name: add_meta
UPDATE meta SET v = v + :n WHERE k = :k;

-- name: select_meta
SELECT v FROM meta WHERE k = :k;

-- name: begin
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: sync_on
PRAGMA synchronous = FULL;

-- name: sync_off
PRAGMA synchronous = NORMAL;

-- name: select_data_version
-- Changes when another connection has written.
PRAGMA data_version;
