-- name: select_tuning
SELECT kind, name, value, replaced FROM tuning;

-- name: put_tuning
-- Set again, it is the same value of the program's that it replaces.
INSERT INTO tuning (kind, name, value, replaced) VALUES (:kind, :name, :value, :replaced)
ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value, replaced = excluded.replaced;

-- name: delete_tuning
DELETE FROM tuning WHERE kind = :kind AND name = :name;

-- name: rename_tuning
UPDATE OR IGNORE tuning SET name = :present WHERE kind = :kind AND name = :name;
