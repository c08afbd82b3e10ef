-- Keys are found by a number, the salted hash of name and key (model.keys): with eight bytes an entry the indexes of keys are a fifth
-- as large, and rows that are written together change far fewer pages of them. What is found by its name has its own index.

DROP VIEW respawned_child;
DROP INDEX task_key;
DROP INDEX task_unheld_key;
DROP INDEX history_key;

-- No row has the default: rows that are here get theirs at once, and an insert that forgot it would clash with the next.
ALTER TABLE task ADD COLUMN key_hash INTEGER NOT NULL DEFAULT 0;
ALTER TABLE history ADD COLUMN key_hash INTEGER NOT NULL DEFAULT 0;
INSERT INTO meta (k, v) VALUES ('key_salt', random());
UPDATE task SET key_hash = hash_key((SELECT v FROM meta WHERE k = 'key_salt'), name, key);
UPDATE history SET key_hash = hash_key((SELECT v FROM meta WHERE k = 'key_salt'), name, key);

CREATE UNIQUE INDEX task_key ON task (key_hash, ifnull(parent_id, 0), parent_round) WHERE holds_key = 1;
CREATE INDEX task_unheld_key ON task (key_hash) WHERE holds_key <> 1;
CREATE INDEX task_name ON task (name);
-- Hardly ever is there any: whether there is has to be known before each end of a cancelled task.
CREATE INDEX task_held ON task (id) WHERE held = 1;
CREATE INDEX history_key ON history (key_hash, id);

-- Children that count no more: they failed, and a retry of their spawner has spawned them anew.
-- (The plus takes the affinity away, without which the index on the expression is used.)
CREATE VIEW respawned_child AS
SELECT h.seq, h.parent_id, h.parent_round, h.status FROM history AS h
WHERE h.parent_id IS NOT NULL AND h.spawner_run IS NOT NULL
    AND h.status IN ('failed', 'dead_letter', 'expired', 'dependency_failed')
    AND (EXISTS (SELECT 1 FROM task AS t INDEXED BY task_key
            WHERE t.key_hash = h.key_hash AND ifnull(t.parent_id, 0) = +h.parent_id AND t.parent_round = h.parent_round
                AND t.name = h.name AND t.key = h.key AND t.holds_key = 1
                AND t.spawner_id = h.spawner_id AND t.spawner_run > h.spawner_run)
        OR EXISTS (SELECT 1 FROM task AS t INDEXED BY task_unheld_key
            WHERE t.key_hash = h.key_hash AND t.name = h.name AND t.key = h.key AND t.holds_key <> 1
                AND t.parent_id = h.parent_id AND t.parent_round = h.parent_round
                AND t.spawner_id = h.spawner_id AND t.spawner_run > h.spawner_run)
        OR EXISTS (SELECT 1 FROM history AS n INDEXED BY history_key
            WHERE n.key_hash = h.key_hash AND n.name = h.name AND n.key = h.key AND n.parent_id = h.parent_id
                AND n.parent_round = h.parent_round AND n.spawner_id = h.spawner_id AND n.spawner_run > h.spawner_run));
