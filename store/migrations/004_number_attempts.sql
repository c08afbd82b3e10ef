-- Which runs belong to the attempt that a task is in: a retry spawns children that failed before it anew, and the repetition of a
-- retry that was interrupted does not.

-- The number of the last run before the present attempt; 0 in the first.
ALTER TABLE task ADD COLUMN retry_run INTEGER NOT NULL DEFAULT 0;
-- What was in a retry begins that retry anew.
UPDATE task SET retry_run = run WHERE retries > 0;
