"""What must hold in every committed state of a store, as plain SQL: each query returns the ids that break its rule.

For every test that kills, cuts, fails or simulates. Cheap enough for small stores to be asked after each commit.
"""

from typing import Final

import apsw

from millrace.model.keys import hash_key

WITHDRAWN: Final = "('cancelled', 'superseded')"
FAILED: Final = "('failed', 'dead_letter', 'expired', 'dependency_failed')"

INVARIANTS: Final[dict[str, str]] = {
    "I01 a task is active or in history, never both": "SELECT id FROM task INTERSECT SELECT id FROM history",
    "I02 ids given = active + history + pruned": """
        SELECT 0 AS id WHERE ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'task'), 0)
            <> (SELECT count(*) FROM task) + (SELECT count(*) FROM history)
            + (SELECT v FROM meta WHERE k = 'pruned')""",
    "I03 a key has one holder in its scope": """
        SELECT max(id) AS id FROM task WHERE holds_key = 1
        GROUP BY name, ifnull(parent_id, 0), parent_round, key HAVING count(*) > 1""",
    "I04 no active child under a settled parent": "SELECT c.id FROM task c JOIN history p ON p.id = c.parent_id",
    "I05 the parent of an active child exists": """
        SELECT id FROM task c WHERE parent_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = c.parent_id)""",
    "I06 what waits has an active child or is an open flow": """
        SELECT id FROM task WHERE (status = 'waiting' OR (closing IS NOT NULL AND executing = 0 AND phase <> 4))
            AND child_active = 0 AND flow_open = 0""",
    "I07 no hook and no finalizer that is still to start has active children": """
        SELECT id FROM task WHERE child_active > 0
            AND (phase = 4 OR (phase = 0 AND phase_runs = 0))""",
    "I08 an active child is of its parent's present round": """
        SELECT c.id FROM task c JOIN task p ON p.id = c.parent_id WHERE c.parent_round <> p.round""",
    "I09 a parent is older than its children": """
        SELECT id FROM task WHERE parent_id >= id UNION ALL SELECT id FROM history WHERE parent_id >= id""",
    "I10 what is blocked waits for something, for its body, and is not closed": """
        SELECT id FROM task WHERE status = 'blocked' AND (unmet = 0 OR phase <> 1 OR closing IS NOT NULL OR delayed)""",
    "N1 unmet = count of what a task waits for": """
        SELECT id FROM task WHERE unmet <> (SELECT count(*) FROM edge WHERE task_id = id)""",
    "N2 who waits is blocked, or is to run once more": """
        SELECT task_id AS id FROM edge WHERE NOT EXISTS (
            SELECT 1 FROM task WHERE id = task_id AND (status = 'blocked' OR rerun IS NOT NULL))""",
    "N3 what is waited for is active, or failed under FAIL and can be retried": """
        SELECT task_id AS id FROM edge WHERE NOT EXISTS (SELECT 1 FROM task WHERE id = dep_id) AND NOT EXISTS (
            SELECT 1 FROM history WHERE id = dep_id AND status = 'dependency_failed' AND on_dependency_failure = 'fail')
            AND (EXISTS (SELECT 1 FROM history WHERE id = dep_id) OR (SELECT v FROM meta WHERE k = 'pruned') = 0)""",
    "N4 nothing waits for itself, by its dependencies and its children": """
        WITH RECURSIVE waits (start, id) AS (
            SELECT task_id, dep_id FROM edge WHERE EXISTS (SELECT 1 FROM task WHERE id = task_id AND status = 'blocked')
            UNION SELECT w.start, d.dep_id FROM waits AS w JOIN edge AS d ON d.task_id = w.id
                JOIN task AS b ON b.id = w.id AND b.status = 'blocked'
            UNION SELECT w.start, c.id FROM waits AS w JOIN task AS c ON c.parent_id = w.id)
        SELECT start AS id FROM waits WHERE id = start""",
    "G1 a task is found by the tags that it has, and by no others": """
        WITH own (k, v, id) AS (
            SELECT j.key, j.value, t.id FROM task AS t, json_each(t.tags) AS j
            UNION ALL SELECT j.key, j.value, h.id FROM history AS h, json_each(h.tags) AS j)
        SELECT id FROM (SELECT * FROM own EXCEPT SELECT k, v, task_id FROM tag)
        UNION ALL SELECT task_id FROM (SELECT k, v, task_id FROM tag EXCEPT SELECT * FROM own)""",
    "T1 a time to live that begins with the first start has no end before": """
        SELECT id FROM task WHERE ttl_first = 1 AND expires_at_ms IS NOT NULL AND phase = 1 AND phase_runs = 0""",
    "P1 what a pause has stopped is paused by something": """
        SELECT id FROM task AS t WHERE status = 'paused' AND paused = 2 AND NOT EXISTS (SELECT 1 FROM pause AS p
            WHERE p.scope = 'scheduler' OR (p.scope = 'group' AND p.name = t.grp)
                OR (p.scope = 'domain' AND t.name >= p.name || '::' AND t.name < p.name || ':;'))""",
    "P2 what is stored as paused has no decided end, and has run or waits for its series": """
        SELECT id FROM task WHERE paused NOT IN (0, 1, 2, 3) OR (status = 'paused' AND paused = 0)
            OR (paused IN (1, 2) AND status <> 'paused') OR (paused = 3 AND status NOT IN ('paused', 'blocked', 'parked'))
            OR (status = 'paused' AND (closing IS NOT NULL OR executing OR delayed OR phase > 1
                OR (phase_runs < 1) <> (paused = 3)))""",
    "P3 what waits for its series is of one that is paused": """
        SELECT id FROM task WHERE paused = 3 AND NOT EXISTS (
            SELECT 1 FROM series WHERE id = series_id AND state = 'paused')""",
    "R1 a series has one run at a time": """
        SELECT max(id) AS id FROM task WHERE series_id IS NOT NULL AND closing IS NULL
        GROUP BY series_id HAVING count(*) > 1""",
    "R2 an active series has a run, or the time of its next": """
        SELECT id FROM series WHERE state = 'active' AND run_id IS NULL AND next_run_ms IS NULL""",
    "R3 the run of a series is active and of that series": """
        SELECT id FROM series AS s WHERE run_id IS NOT NULL AND state <> 'ended' AND NOT EXISTS (
            SELECT 1 FROM task WHERE id = s.run_id AND series_id = s.id)""",
    "I11 what is pending or parked has a function to call and no decided end": """
        SELECT id FROM task WHERE status IN ('pending', 'parked') AND (closing IS NOT NULL OR phase > 1 OR executing)""",
    "I12 what waits has its body behind it": """
        SELECT id FROM task WHERE status = 'waiting' AND (phase NOT IN (2, 3) OR executing)""",
    "I13 a decided end that nothing executes waits for children or hook": """
        SELECT id FROM task WHERE closing IS NOT NULL AND executing = 0 AND phase NOT IN (2, 4)""",
    "I14 what executes is running or winding down, and counted": """
        SELECT id FROM task WHERE (executing = 1 AND (status NOT IN ('running', 'cancelling') OR phase NOT IN (0, 1, 4)
            OR run < 1 OR phase_runs < 1)) OR (status = 'running' AND executing = 0)""",
    "I15 no id is beyond the sequence": """
        SELECT id FROM (SELECT id FROM task UNION ALL SELECT id FROM history)
        WHERE id > (SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'task')""",
    "I16 retries and runs are within their bounds": """
        SELECT id FROM task WHERE retries < 0 OR retries > max_retries OR run < round_run OR run < retry_run OR crashes < 0
            OR phase_runs < 0 OR phase_runs > run
        UNION ALL SELECT id FROM history WHERE retries < 0 OR retries > max_retries""",
    "I17 what is retried has run": """
        SELECT id FROM task WHERE retries > 0 AND run <= round_run
        UNION ALL SELECT id FROM history WHERE retries > 0 AND run < 1""",
    "I18 a settled task has one terminal status": """
        SELECT id FROM history WHERE status NOT IN ('completed', 'failed', 'dead_letter', 'cancelled', 'superseded',
            'expired', 'dependency_failed') UNION ALL SELECT id FROM history GROUP BY id HAVING count(*) > 1""",
    "I19 failures say why": f"SELECT id FROM history WHERE status IN {FAILED} AND ifnull(error, '') = ''",
    "I20 an end is told downward": f"""
        SELECT c.id FROM task c JOIN task p ON p.id = c.parent_id
        WHERE p.closing IS NOT NULL AND p.cascade = 0 AND ifnull(c.closing, '') NOT IN {WITHDRAWN}
            AND NOT (p.closing = 'expired' AND c.closing IS 'expired')""",
    "I21 payload, memo and rerun decode": """
        SELECT id FROM task WHERE NOT json_valid(ifnull(payload, '0')) OR NOT json_valid(ifnull(memo, '0'))
            OR NOT json_valid(ifnull(rerun, '0')) OR (payload IS NULL) <> is_flow""",
    "I22 what completed has run": """
        SELECT id FROM history WHERE status = 'completed' AND payload IS NOT NULL AND (run < 1 OR started_at_ms IS NULL)
        """,
    "C1 child_active = count of active children": """
        SELECT id FROM task p WHERE child_active
            <> (SELECT count(*) FROM task c WHERE c.parent_id = p.id AND c.parent_round = p.round)""",
    # A failed child that a later run of its spawner has spawned anew counts no more, in total and failures.
    "C2 child_total = count of the round's children": f"""
        SELECT id FROM (SELECT p.id, p.child_total AS stored,
            (SELECT count(*) FROM task c WHERE c.parent_id = p.id AND c.parent_round = p.round)
                + (SELECT count(*) FROM history c WHERE c.parent_id = p.id AND c.parent_round = p.round) AS found,
            (SELECT count(*) FROM history c WHERE c.parent_id = p.id AND c.parent_round = p.round
                AND c.status IN {FAILED} AND {{replaced}}) AS replaced
            FROM task p WHERE p.child_total > 0 OR p.child_failed > 0
                OR EXISTS (SELECT 1 FROM history c WHERE c.parent_id = p.id AND c.parent_round = p.round))
        WHERE stored NOT BETWEEN found - replaced AND found""",
    "C3 child_failed = count of failed children": f"""
        SELECT id FROM (SELECT p.id, p.child_failed AS stored,
            (SELECT count(*) FROM history c WHERE c.parent_id = p.id AND c.parent_round = p.round
                AND c.status IN {FAILED}) AS found,
            (SELECT count(*) FROM history c WHERE c.parent_id = p.id AND c.parent_round = p.round
                AND c.status IN {FAILED} AND {{replaced}}) AS replaced
            FROM task p) WHERE stored NOT BETWEEN found - replaced AND found""",
    "H1 held only while a cancelled task of the key winds down": """
        SELECT id FROM task h WHERE held = 1 AND status = 'pending' AND NOT EXISTS (
            SELECT 1 FROM task w WHERE w.name = h.name AND w.key = h.key AND w.parent_id IS h.parent_id
                AND w.parent_round = h.parent_round AND w.status = 'cancelling' AND w.id <> h.id)""",
    "H2 a withdrawn task holds no key and has no rerun": f"""
        SELECT id FROM task WHERE closing IN {WITHDRAWN} AND (holds_key = 1 OR rerun IS NOT NULL)""",
    "E1 cancelling if and only if the end is a withdrawal": f"""
        SELECT id FROM task WHERE (status = 'cancelling') <> (ifnull(closing, '') IN {WITHDRAWN})""",
    "E2 a cascade has a decided end above it": "SELECT id FROM task WHERE cascade <> 0 AND closing IS NULL",
    "E3 a cancel leaves its time, a supersede its successor": """
        SELECT id FROM history WHERE (status IN ('cancelled', 'superseded') AND cancel_requested_at_ms IS NULL)
            OR (status = 'superseded') > (superseded_by IS NOT NULL) OR superseded_by <= id
        UNION ALL SELECT id FROM task WHERE superseded_by <= id OR (closing = 'superseded' AND superseded_by IS NULL)""",
    "E4 a verdict has its error": f"""
        SELECT id FROM task WHERE closing IN {FAILED} AND ifnull(error, '') = ''""",
    "D1 what is delayed is pending and has its time": """
        SELECT id FROM task WHERE delayed <> 0 AND (status NOT IN ('pending', 'parked') OR run_at_ms IS NULL)""",
    "L1 children of a bounded parent, and no others, are offered by it": """
        SELECT c.id FROM task c LEFT JOIN task p ON p.id = c.parent_id
        WHERE c.limited <> (p.child_concurrency IS NOT NULL)""",
    "F1 a flow has its state, and is open without a decided end only": """
        SELECT id FROM task t WHERE is_flow = 1 AND (NOT EXISTS (SELECT 1 FROM flow WHERE id = t.id)
            OR phase NOT IN (2, 3) OR executing)
        UNION ALL SELECT id FROM flow f WHERE NOT EXISTS (SELECT 1 FROM task WHERE id = f.id AND is_flow = 1)
            AND NOT EXISTS (SELECT 1 FROM history WHERE id = f.id)
        UNION ALL SELECT id FROM task WHERE is_flow = 0 AND flow_open = 1""",
}
"""Name to query. What a later schema adds has its own."""

_REPLACED: Final = """c.spawner_id IS NOT NULL AND EXISTS (
    SELECT 1 FROM (SELECT id, name, key, parent_id, parent_round, spawner_id, spawner_run FROM task
        UNION ALL SELECT id, name, key, parent_id, parent_round, spawner_id, spawner_run FROM history) AS n
    WHERE n.parent_id = c.parent_id AND n.parent_round = c.parent_round AND n.key = c.key AND n.name = c.name
        AND n.spawner_id = c.spawner_id AND n.spawner_run > c.spawner_run)"""

QUERIES: Final = {name: query.replace("{replaced}", _REPLACED) for name, query in INVARIANTS.items()}
_NAMES: Final = list(QUERIES)
_ALL: Final = "\nUNION ALL\n".join(
    f"SELECT {place} AS place, id FROM ({query})" for place, query in enumerate(QUERIES.values())
)


_MISNUMBERED: Final = """
    SELECT id FROM task WHERE key_hash <> hash_key((SELECT v FROM meta WHERE k = 'key_salt'), name, key)
    UNION ALL SELECT id FROM history WHERE key_hash <> hash_key((SELECT v FROM meta WHERE k = 'key_salt'), name, key)"""


def check(connection: apsw.Connection, *, structure: bool = True) -> list[str]:
    """The invariants that do not hold, each with some of the ids that break it. Empty is good.

    Args:
        connection: to the store; it only reads.
        structure: also have SQLite look over the whole file, and compare the numbers of keys.
    """
    broken: dict[int, list[int]] = {}
    for place, task_id in connection.execute(_ALL):
        broken.setdefault(place, []).append(task_id)
    found = [f"{_NAMES[place]}: {ids[:5]}" for place, ids in sorted(broken.items())]
    if structure:
        verdict = connection.pragma("integrity_check")
        if verdict != "ok":
            found.append(f"integrity_check: {verdict}")
        connection.create_scalar_function("hash_key", hash_key, 3)
        misnumbered = connection.execute(_MISNUMBERED).fetchall()
        if misnumbered:
            found.append(f"K1 a key has the number that it is looked for by: {misnumbered[:5]}")
    return found
