"""The judge of a simulation: what was promised and seen, compared with what is committed.

Rules over one committed state are those of `invariants`; here are the rules over the course of things.
"""

from dataclasses import dataclass, field

import apsw
from invariants import check

from millrace.actors.policy.limits import Limits
from millrace.executors.run import Run
from millrace.model.limits import RateLimit
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Phase


class Violation(AssertionError):
    """A rule does not hold."""


class Bounds:
    """How many tasks of a domain or group may be under way at most: the widest limit that there ever was, None without one."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._widest: dict[tuple[str, str], int] = {}

    def widen(self, kind: str, name: str, value: object) -> None:
        """A limit was set at run time, or taken back."""
        if isinstance(value, int):
            self._widest[kind, name] = max(value, self._widest.get((kind, name), 0))

    def of(self, kind: str, name: str) -> int | None:
        """The bound of a domain or group."""
        limits = self._limits
        own = limits.domains.get(name) if kind == "domain" else limits.groups.get(name, limits.default_group)
        return None if own is None else max(own, self._widest.get((kind, name), 0))


@dataclass(slots=True)
class Witness:
    """What is known from outside of the store."""

    connection: apsw.Connection | None = None
    acknowledged: set[int] = field(default_factory=set)
    ended: dict[int, str] = field(default_factory=dict)
    stopped: dict[int, str] = field(default_factory=dict)
    """Task to the end that was acknowledged before it had come: cancelled or superseded."""
    history: dict[int, tuple[object, ...]] = field(default_factory=dict)
    begun: dict[int, int] = field(default_factory=dict)
    """Task to runs of its body."""
    live: dict[tuple[int, bool], Run] = field(default_factory=dict)
    """(task, whether it is a hook) to the run whose function is being called."""
    numbers: set[tuple[int, int]] = field(default_factory=set)
    over: dict[tuple[int, int, int, int], str] = field(default_factory=dict)
    """(task, round, phase, retries) to how a run of it ended in this process, where it was an end."""
    finalizers: set[tuple[int, int]] = field(default_factory=set)
    dues: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(series, due time, what was made due by hand until then) to the task that ran for it."""
    by_hand: int = 0
    """How often something may have been made due by hand: a series twice in a millisecond, where a run takes none."""
    started: set[tuple[int, int]] = field(default_factory=set)
    """(task, run) whose start was seen committed."""
    rated: int = 0
    """Bodies of the task with a rate, since the buckets were last filled."""
    filled_at: float = 0.0
    last_id: int = 0
    last_seq: int = 0
    version: int = -1

    def _connected(self) -> apsw.Connection:
        if self.connection is None:
            raise AssertionError("opened with the first life")
        return self.connection

    # What happens in the process

    def process_died(self) -> None:
        """No function of it is being called any more."""
        self.live.clear()
        self.over.clear()

    def run_began(self, run: Run) -> None:
        """A function is called: its start is committed, it is the only one of its task, and neither it nor its task has ended."""
        claim = run.claim
        is_hook = claim.phase == Phase.HOOK
        found = self._connected().execute("SELECT executing, run, phase FROM task WHERE id = ?", (claim.id,)).get
        if found is None or found[1] < claim.run:
            raise Violation(f"task {claim.id} run {claim.run} began before its start was committed: {found}")
        number = (claim.id, claim.run)
        if number in self.numbers:
            raise Violation(f"task {claim.id} run {claim.run} began twice")
        self.numbers.add(number)
        if (claim.id, is_hook) in self.live:
            raise Violation(f"two runs of task {claim.id} overlap (M5)")
        self.live[claim.id, is_hook] = run
        if not is_hook and claim.id in self.stopped:
            raise Violation(f"task {claim.id} run {claim.run} began after it was told to be {self.stopped[claim.id]}")
        past = self.over.get((claim.id, claim.round, claim.phase, claim.retries))
        if past is not None:
            raise Violation(f"task {claim.id} run {claim.run} repeats a run that had ended: {past}")
        if claim.phase == Phase.BODY:
            self.begun[claim.id] = self.begun.get(claim.id, 0) + 1
            self._see_body(run)

    def _see_body(self, run: Run) -> None:
        """A body is called for one due time, once all that it waits for has settled, and within its time to live."""
        claim = run.claim
        if claim.series_id is not None and claim.run_at_ms is not None and claim.retries == 0:
            other = self.dues.setdefault((claim.series_id, claim.run_at_ms, self.by_hand), claim.id)
            if other != claim.id:
                raise Violation(f"series {claim.series_id} fired twice at {claim.run_at_ms}: {other}, {claim.id} (M6)")
        started_ms = claim.started_at_ms or 0
        if claim.expires_at_ms is not None and started_ms > claim.expires_at_ms:
            raise Violation(f"task {claim.id} started at {started_ms}, its deadline was {claim.expires_at_ms} (S-210)")
        unmet = self._connected().execute(
            "SELECT dep_id FROM edge JOIN task ON id = task_id WHERE task_id = ? AND rerun IS NULL", (claim.id,)
        )
        if (dependency := unmet.get) is not None:
            raise Violation(f"task {claim.id} runs and waits for {dependency} (S-243)")

    def buckets_filled(self, now: float) -> None:
        """A dispatcher begins: its rates start with full buckets."""
        self.rated, self.filled_at = 0, now

    def see_rate(self, limit: RateLimit, now: float) -> None:
        """A body of the task with a rate begins, at the earliest when it took its token (S-261)."""
        self.rated += 1
        most = 2 * limit.burst + limit.rate * (now - self.filled_at) + 1e-6
        if self.rated > most:
            raise Violation(f"{self.rated} starts within {now - self.filled_at:.3f} s, at most {most:.1f}")

    def run_ended(self, run: Run, outcome: RunOutcome) -> None:
        """A function is over."""
        claim = run.claim
        self.live.pop((claim.id, claim.phase == Phase.HOOK), None)
        if not run.is_abandoned and outcome.kind in (RunKind.RETURNED, RunKind.FAILED):
            self.over[claim.id, claim.round, claim.phase, claim.retries] = f"run {claim.run}, {outcome.kind.value}"

    def task_acknowledged(self, task_id: int) -> None:
        """A caller was told that this task is stored."""
        self.acknowledged.add(task_id)
        if not self._exists(task_id):
            raise Violation(f"task {task_id} was acknowledged before it was committed")

    def stop_told(self, task_id: int, end: str) -> None:
        """A caller was told that a task will end so: whatever of it has not begun by now never begins."""
        self.stopped[task_id] = end

    def end_told(self, task_id: int, status: str) -> None:
        """A caller was told of an end."""
        found = self._connected().execute("SELECT status FROM history WHERE id = ?", (task_id,)).get
        if found != status:
            raise Violation(f"the end of task {task_id} was told as {status}, committed is {found}")
        self.ended[task_id] = status

    def _exists(self, task_id: int) -> bool:
        found = self._connected().execute(
            "SELECT 1 FROM task WHERE id = ?1 UNION ALL SELECT 1 FROM history WHERE id = ?1", (task_id,)
        )
        return found.get is not None

    # What is committed

    def observe(self) -> bool:
        """Look at what has been committed since the last look; False where nothing has."""
        connection = self._connected()
        version = connection.pragma("data_version")
        if version == self.version:
            return False
        self.version = version
        broken = check(connection, structure=False)
        if broken:
            raise Violation("; ".join(broken))
        self._see_finalizers(connection)
        self._see_ids(connection)
        self._see_history(connection)
        return True

    def _see_ids(self, connection: apsw.Connection) -> None:
        last = connection.execute("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'task'").get
        if last < self.last_id:
            raise Violation(f"the sequence of ids fell from {self.last_id} to {last}")
        self.last_id = last

    def _see_history(self, connection: apsw.Connection) -> None:
        rows = connection.execute("SELECT * FROM history WHERE seq > ? ORDER BY seq", (self.last_seq,)).fetchall()
        for row in rows:
            self.last_seq = row[0]
            if row[1] in self.history:
                raise Violation(f"task {row[1]} settled twice (M2)")
            self.history[row[1]] = row
            self._judge_end(row[1], connection)

    def _judge_end(self, task_id: int, connection: apsw.Connection) -> None:
        status, payload, run = connection.execute(
            "SELECT status, payload, run FROM history WHERE id = ?", (task_id,)
        ).get
        begun = self.begun.get(task_id, 0)
        if status == "completed" and payload is not None and not begun:
            raise Violation(f"task {task_id} completed and its body never ran (M4)")
        if begun > run:
            raise Violation(f"the body of task {task_id} ran {begun} times in {run} runs (M4)")

    def _see_finalizers(self, connection: apsw.Connection) -> None:
        """A finalizer starts when no child is active; those that it spawns come later, at the earliest in its own commit."""
        started = connection.execute(
            "SELECT p.id, p.run, p.phase_runs, (SELECT min(c.id) FROM task c WHERE c.parent_id = p.id) "
            "FROM task p WHERE p.phase = 0 AND p.executing = 1"
        )
        for task_id, run, phase_runs, oldest in started:
            if (task_id, run) not in self.finalizers:
                self.finalizers.add((task_id, run))
                if phase_runs == 1 and oldest is not None and oldest <= self.last_id:
                    raise Violation(f"the finalizer of task {task_id} started with child {oldest} active")

    def see_bounds(self, lent: set[int]) -> None:
        """A bounded parent never has more children under way than its bound; those that waited for a task may."""
        rows = self._connected().execute(
            "SELECT p.id, p.child_concurrency, c.id FROM task p JOIN task c ON c.parent_id = p.id "
            "WHERE p.child_concurrency IS NOT NULL AND c.executing = 1 AND c.phase < 2"
        )
        busy: dict[int, list[int]] = {}
        bounds: dict[int, int] = {}
        for parent_id, bound, child_id in rows:
            bounds[parent_id] = bound
            if child_id not in lent:
                busy.setdefault(parent_id, []).append(child_id)
        for parent_id, children in busy.items():
            if len(children) > bounds[parent_id]:
                raise Violation(f"children {children} of task {parent_id} run at once, bound {bounds[parent_id]}")

    def see_starts(self, lent: set[int], bounds: Bounds) -> None:
        """What starts is held by no pause, and domains and groups never have more under way than their limits."""
        connection = self._connected()
        rows = connection.execute("SELECT id, run, name, grp FROM task WHERE executing = 1 AND phase < 2").fetchall()
        paused = set(connection.execute("SELECT scope, name FROM pause"))
        busy: dict[tuple[str, str], list[int]] = {}
        for task_id, run, name, group in rows:
            scopes = [("domain", name.partition("::")[0]), *([] if group is None else [("group", group)])]
            if task_id not in lent:
                for scope in scopes:
                    busy.setdefault(scope, []).append(task_id)
            if (task_id, run) not in self.started:
                self.started.add((task_id, run))
                if not paused.isdisjoint([("scheduler", ""), *scopes]):
                    raise Violation(f"task {task_id} run {run} started, and {paused} are paused (S-112)")
        for (kind, name), ids in busy.items():
            bound = bounds.of(kind, name)
            if bound is not None and len(ids) > bound:
                raise Violation(f"tasks {ids} of {kind} {name} run at once, limit {bound} (S-254)")

    def see_the_end(self) -> None:
        """Everything has drained: only open flows are active, and nothing acknowledged is lost or has changed."""
        connection = self._connected()
        left = connection.execute(
            "SELECT id, name, status, phase, executing, child_active, closing, cascade, held, limited FROM task "
            "WHERE flow_open = 0 AND NOT (is_flow = 1 AND status = 'waiting' AND flow_open = 1)"
        ).fetchall()
        if left:
            raise Violation(f"not everything drained (M8): {left}")
        lost = [task_id for task_id in sorted(self.acknowledged) if not self._exists(task_id)]
        if lost:
            raise Violation(f"acknowledged tasks are lost (M1): {lost}")
        now = {row[1]: row for row in connection.execute("SELECT * FROM history")}
        changed = [task_id for task_id, row in self.history.items() if now.get(task_id) != row]
        if changed:
            raise Violation(f"settled rows changed (M2): {changed}")
        undone = [task_id for task_id, status in self.ended.items() if task_id not in now]
        if undone:
            raise Violation(f"ends that were told are undone (M3): {undone}")
        broken = check(connection)
        if broken:
            raise Violation("; ".join(broken))
