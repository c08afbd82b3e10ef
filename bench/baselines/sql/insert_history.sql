INSERT INTO history (
    id, name, key, label, status, priority, payload, memo, parent_id, parent_round, spawner_id, spawner_run, run, round,
    run_at_ms, retries, max_retries, fail_fast, max_failures, child_concurrency, options, created_at_ms, started_at_ms,
    finished_at_ms, duration_s
)
SELECT
    id, name, key, label, 'completed', priority, payload, :memo, parent_id, parent_round, spawner_id, spawner_run, run, round,
    run_at_ms, retries, max_retries, fail_fast, max_failures, child_concurrency, options, created_at_ms, started_at_ms,
    :now, :duration_s
FROM task WHERE id = :id
