-- One pending task, as a submission without options stores it.
INSERT INTO task (name, key, label, status, phase, priority, payload, max_retries, created_at_ms)
VALUES (:name, :key, :label, 'pending', 1, 128, :payload, 3, :now)
