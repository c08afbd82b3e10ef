-- name: select_child_bytes
-- The bytes of a round's settled children: done, and in how many; in all, and of how many. total() does not overflow.
SELECT json_array(
    CAST(total(bytes_done) AS INTEGER), count(*), CAST(total(bytes_total) AS INTEGER), count(bytes_total))
FROM history INDEXED BY history_bytes
WHERE parent_id = :parent AND parent_round = :round AND bytes_done IS NOT NULL
    AND (status NOT IN ('failed', 'dead_letter', 'expired', 'dependency_failed')
        OR NOT EXISTS (SELECT 1 FROM respawned_child AS r WHERE r.seq = history.seq));

-- name: select_log
-- The captured log lines of a task's last run; no row where there is no such task.
SELECT log FROM task WHERE id = :id UNION ALL SELECT log FROM history WHERE id = :id;
