UPDATE task SET status = 'running', executing = 1, run = run + 1, phase_runs = phase_runs + 1, started_at_ms = :now
WHERE id = :id AND status = 'pending'
