"""One seeded world: the real actors over a real file, in one thread, with whatever may go wrong going wrong.

A step is one thing that one thread would do: an actor takes some of its mail, a pool begins a run, a script or a client goes
on to its next wait. Which one, and what fails, is drawn from the seed; time passes where nothing else can happen, and
now and then while something can. So a seed is a history, the same each time it is played.
"""

import hashlib
import logging
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from bounds import drawn_bounds
from clients import Client
from plans import RATED, TRAITS
from scripts import ScriptedBodies
from virtual import ActorFailed, MemoryFailed, Pause, ProcessDied, SeededLoop, SteppedPool, VirtualTimes, Worker
from witness import Bounds, Violation, Witness

from millrace.actors.guardian import Guardian
from millrace.actors.hub import Feed
from millrace.actors.mailbox import Reply
from millrace.actors.persistence import Persistence
from millrace.actors.policy.limits import Limits
from millrace.actors.requests import Cancel, ChangeSeries, Resume
from millrace.actors.runtime import Runtime
from millrace.actors.settings import Phases, Settings
from millrace.executors.pool import Executors
from millrace.executors.run import Run
from millrace.model.catalog import Traits
from millrace.model.errors import CommitUnknown, MillraceError, StoreFull, TaskNotFound
from millrace.model.limits import Aging, RateLimit, ResourceSnapshot
from millrace.model.outcomes import RunOutcome
from millrace.model.priority import Priority
from millrace.model.records import Restarts
from millrace.model.rows import Phase
from millrace.model.statuses import SubmitKind
from millrace.store.connection import locate, open_reader
from millrace.store.session import Session

MAX_STEPS = 40_000
MAX_CRASHES = 3
STALLED_AFTER_S = 65.0
"""Where something looks at the time again and again: nothing else that is waited for takes as long."""
RATE = RateLimit(5.0, 2)


@dataclass(slots=True)
class Faults:
    """How likely what is, per step."""

    process: float = 0.0
    actor: float = 0.0
    store: float = 0.0
    restart: float = 0.0

    @classmethod
    def draw(cls, rnd: random.Random) -> "Faults":
        """Some seeds have none, so that what is wrong without any is found without any."""
        level = rnd.choice((0.0, 0.0, 1.0, 1.0, 3.0))
        return cls(
            process=level * rnd.choice((0.0, 0.003)),
            actor=level * rnd.choice((0.0, 0.0, 0.004)),
            store=level * rnd.choice((0.0, 0.0, 0.01)),
            restart=level * rnd.choice((0.0, 0.002)),
        )


@dataclass(frozen=True, slots=True)
class Nature:
    """What the scheduler of a world is made with, in each of its lives."""

    limits: Limits
    aging: Aging | None
    sweep_interval_s: float
    has_readings: bool
    """Resources and a pressure are read: then the IO gate and the throttle hold tasks."""

    @classmethod
    def draw(cls, rnd: random.Random) -> "Nature":
        """Each of its own, so that most worlds have few of them."""
        return cls(
            Limits(
                slots=rnd.choice((1, 2, 3)),
                domains=rnd.choice(({}, {}, {"sim": 2}, {"other": 1})),
                groups=rnd.choice(({}, {}, {"g0": 1}, {"g0": 1, "g1": 2})),
                default_group=rnd.choice((None, None, 1)),
                weights=rnd.choice(({}, {}, {}, {"g0": 3})),
                minimums=rnd.choice(({}, {}, {}, {"g1": 1})),
                task_rates=rnd.choice(({}, {}, {RATED: RATE})),
            ),
            rnd.choice((None, None, Aging(0.2, 0.1), Aging(0.0, 0.01, Priority(64), Priority(100)))),
            rnd.choice((inf, inf, 1.0)),
            rnd.random() < 0.1,
        )


@dataclass(slots=True, eq=False)
class Caller:
    """A client and what it waits for."""

    script: Iterator[Pause]
    pause: Pause = field(default_factory=Pause)
    is_inside: bool = False
    is_over: bool = False


class World:
    """See the module.

    Args:
        seed: of all that is drawn.
        directory: for the store's file.
        faults: in place of those that are drawn.
    """

    def __init__(self, seed: int, directory: Path, faults: Faults | None = None) -> None:
        self.seed = seed
        self.rnd = random.Random(seed)
        self.times = VirtualTimes()
        self.path = directory / f"{seed}.db"
        self.witness = Witness()
        self.faults = self.drawn = Faults.draw(self.rnd) if faults is None else faults
        self.flows: list[int] = []
        self.is_draining = False
        self._known: list[int] = []
        self._ops_left = self.rnd.choice((6, 12, 20))
        self._client_count = self.rnd.choice((1, 2, 3))
        self._steps = 0
        self._waited: set[int] = set()
        self._trace = hashlib.sha256()
        self._commit_fault: str | None = None
        self._is_gate_open = False
        self._is_starting = False
        self._is_heard = self.rnd.random() < 0.4
        self._restarts = Restarts(limit=1_000) if self.rnd.random() < 0.9 else Restarts()
        self.nature = Nature.draw(self.rnd)
        self.pressure = 0.0
        self._bounds = Bounds(self.nature.limits)
        self._busy_at = self.times.now
        self._hidden: str | None = None
        self._callers: list[Caller] = []
        self.log: list[str] | None = None

    # Its course

    def play(self) -> str:
        """All of it; the digest of what happened.

        Raises:
            Violation: a rule did not hold.
        """
        while True:
            try:
                self._live()
            except ProcessDied:
                self._bury()
            else:
                break
        if self.witness.connection is not None:
            # Each store draws its own salt for the hashes of keys.
            names = self.witness.connection.execute(
                "SELECT name FROM pragma_table_info('history') WHERE name <> 'key_hash'"
            )
            columns = ", ".join(name for (name,) in names)
            for row in self.witness.connection.execute(f"SELECT {columns} FROM history ORDER BY seq"):
                self._trace.update(repr(row).encode())
            self.witness.connection.close()
        return self._trace.hexdigest()[:16]

    def remove(self) -> None:
        """The store with all its files."""
        if self.witness.connection is not None:
            self.witness.connection.close()
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()

    def _live(self) -> None:
        """One life of the process; the last one ends with everything drained."""
        self._begin_life()
        self._start()
        while self._ops_left or any(not caller.is_over for caller in self._callers):
            if self.runtime.state is Phases.FAILED:
                self._fail()
            if self._happens(self.faults.restart):
                self._restart()
            self._tick()
        self._drain()

    def _begin_life(self) -> None:
        names = list(TRAITS)
        self._hidden = self.rnd.choice(names) if self.rnd.random() < 0.15 else None
        self.loop = SeededLoop(self)
        self.pools: list[SteppedPool] = []
        self._is_gate_open = False
        self._commit_fault = None
        self._callers = [Caller(Client(self).work()) for _ in range(self._client_count)]
        self.runtime = runtime = Runtime(
            lambda: locate(self.path),
            catalog=self,
            bodies=ScriptedBodies(self),
            settings=Settings(
                limits=self.nature.limits,
                cancel_timeout_s=1.0,
                is_power_safe=self.rnd.random() < 0.7,
                restarts=self._restarts,
                max_crashes=MAX_CRASHES,
                aging=self.nature.aging,
                sweep_interval_s=self.nature.sweep_interval_s,
                pressure={"p": lambda: self.pressure} if self.nature.has_readings else {},
                resources=self if self.nature.has_readings else None,
            ),
            times=self.times,
            loop=self.loop,
            executors=partial(Executors, monotonic=self.times.monotonic, pool=self._make_pool),
        )
        if self._is_heard:
            runtime.hub.add(Feed(lambda event: True, 1000))
        open_session = runtime.store.open_session
        runtime.store.open_session = lambda: self._faulty(open_session())

    def _start(self) -> None:
        """Some callers come before the start."""
        while self.rnd.random() < 0.3 and self.step():
            pass
        self._start_again()

    def _start_again(self) -> None:
        """A start that the store refuses tells its caller, who tries again or gives up."""
        while True:
            try:
                self._is_starting = True  # its lock holds up what is detached
                self.runtime.start()
            except MillraceError as error:
                self._note(f"start refused: {type(error).__name__}")
                if self.runtime.state is Phases.FAILED or self.rnd.random() < 0.3:
                    raise ProcessDied from error
            else:
                return
            finally:
                self._is_starting = False

    def _restart(self) -> None:
        self._note("restart")
        self.runtime.stop(self.rnd.choice((0.0, 0.5, 5.0)))
        for _ in range(self.rnd.randrange(5)):
            if not self.step():
                break
        self._hidden = None
        if self.runtime.state is not Phases.FAILED:
            self._start_again()

    def _fail(self) -> None:
        """The runtime has given up: it winds down, nobody waits for it any more, and the process ends, some time."""
        if self.rnd.random() < 0.5:
            while self.loop.detached_count:
                self._tick()
            while self.step():
                pass
            waiting = [caller for caller in self._callers if caller.pause.reply and not caller.pause.reply.is_set]
            if waiting or self.loop.seats:
                names = [seat.actor.mailbox.name for seat in self.loop.seats]
                raise Violation(f"after a failure {len(waiting)} callers wait, and actors go on: {names}")
        raise ProcessDied

    def _bury(self) -> None:
        """What the operating system does for a dead process: its files are closed, its lock is free."""
        self._note("process died")
        runtime = self.runtime
        for seat in self.loop.seats:
            if isinstance(seat.actor, Persistence) and (session := seat.actor._commits._store) is not None:
                session.writer.close()
        store = runtime.store
        if store._first_session is not None:
            store._first_session.writer.close()
        store.close_readers()
        store.release()
        self.loop.seats.clear()
        self.witness.process_died()
        if self.witness.connection is not None:
            self.witness.observe()
            self.witness.see_starts(self._waited, self._bounds)  # committed, and perhaps never begun

    def _drain(self) -> None:
        """Nothing goes wrong any more: everything ends, in time."""
        self._note("drain")
        self.faults = Faults()
        self._commit_fault = None
        self.is_draining = True
        if self._hidden is not None or self._parked():
            self._restart()
        if self.runtime.state is not Phases.RUNNING:
            raise ProcessDied
        self.pressure = 0.0
        self._end_series("SELECT id FROM series WHERE state <> 'ended' AND schedule ->> 'max_runs' IS NULL")
        while True:
            while self._tick():
                if self.runtime.state is Phases.FAILED:
                    raise ProcessDied
            if not self._release():
                break
        self.witness.observe()
        self._see_idle()
        if self._parked():  # the end of a run could not be recorded: it runs again at the next start
            self._drain()
            return
        self.witness.see_the_end()
        self.runtime.stop(1.0)
        while self.step():
            pass
        if self.loop.seats:
            raise Violation(f"actors outlive the stop: {[seat.actor.mailbox.name for seat in self.loop.seats]}")

    def _release(self) -> bool:
        """What keeps tasks from ever ending goes: pauses, series that are paused, dependencies that nothing settles."""
        connection = self.witness.connection
        if connection is None:
            return False
        pauses = connection.execute("SELECT scope, name FROM pause").fetchall()
        for scope, name in pauses:
            resumed: Reply[int] = Reply()
            self._ask(Resume(scope, name, resumed), resumed)
        ended = self._end_series("SELECT id FROM series WHERE state = 'paused'")
        endless = connection.execute(
            "SELECT DISTINCT task_id FROM edge AS e JOIN task AS t ON t.id = e.task_id LEFT JOIN task AS d ON d.id = e.dep_id "
            "WHERE t.status = 'blocked' AND t.closing IS NULL AND ifnull(d.flow_open, 1)"
        ).fetchall()
        for (task_id,) in endless:
            cancelled: Reply[Any] = Reply()
            self._ask(Cancel(task_id, cancelled), cancelled)
        return bool(pauses or ended or endless)

    def _end_series(self, which: str) -> bool:
        connection = self.witness.connection
        found = [] if connection is None else connection.execute(which).fetchall()
        for (series_id,) in found:
            reply: Reply[None] = Reply()
            self._ask(ChangeSeries(series_id, "cancel", reply), reply)
        return bool(found)

    def _ask(self, request: Any, reply: Reply[Any]) -> None:
        self._busy_at = self.times.now
        try:
            self.runtime.ask(request, reply)
        except TaskNotFound:
            return  # it ended meanwhile
        except MillraceError as error:
            if self.runtime.state is Phases.FAILED:
                raise ProcessDied from error
            raise

    def _parked(self) -> bool:
        connection = self.witness.connection
        return connection is not None and bool(connection.execute("SELECT 1 FROM task WHERE status = 'parked'").get)

    # Steps

    def run_until(self, is_done: Callable[[], bool], timeout_s: float | None) -> bool:
        """For waits in the runtime's own callers: the rest goes on meanwhile."""
        deadline = None if timeout_s is None else self.times.now + timeout_s
        while not is_done():
            if deadline is not None and self.times.now >= deadline:
                return False
            if self.step() or self._pass_time(deadline):
                continue
            if deadline is None:
                raise Violation("a caller waits and nothing can happen any more")
            self.times.now = max(self.times.now, deadline)
        return True

    def _tick(self) -> bool:
        """A step, or time; False where neither leads anywhere."""
        if self.step():
            return True
        self._see_idle()
        if self.times.now - self._busy_at < STALLED_AFTER_S and self._pass_time(None):
            return True
        if not self._is_gate_open:
            self._is_gate_open = True  # those that hang until they are asked have waited for this
            self._busy_at = self.times.now
            return True
        stuck = [caller for caller in self._callers if not caller.is_over]
        if stuck:
            raise Violation(f"{len(stuck)} callers wait and nothing can happen any more")
        return False

    def step(self) -> bool:
        """One step of somebody; False where nobody can make one."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise Violation(f"it goes on and on: {MAX_STEPS} steps")
        if self._happens(self.faults.process):
            raise ProcessDied
        if self._happens(self.faults.store):
            self._commit_fault = self.rnd.choice(("refused", "unknown", "died"))
        if self.rnd.random() < 0.02:
            self.times.now += self.rnd.random() * 0.1
        steps = self._possible()
        if not steps:
            return False
        kind, who = self.rnd.choice(steps)
        if kind in ("begin", "work", "caller"):
            self._busy_at = self.times.now
        getattr(self, f"_step_{kind}")(who)
        if kind in ("begin", "work", "actor"):
            self._see_counts()
        return True

    def _possible(self) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = [("actor", seat) for seat in self.loop.ready()]
        now, is_open = self.times.now, self._is_gate_open
        for pool in self.pools:
            if pool.can_begin:
                found.append(("begin", pool))
            found += [("work", (pool, one)) for one in pool.workers if one.pause.is_over(now, is_gate_open=is_open)]
        is_opening = self.runtime.state is Phases.NEW and any(caller.is_inside for caller in self._callers)
        held_up = [caller for caller in self._callers if is_opening or caller.is_inside]  # by the runtime's lock
        if self.loop.detached and not self._is_starting:
            found.append(("detached", None))
        for caller in self._callers:
            if caller not in held_up and not caller.is_over and caller.pause.is_over(now, is_gate_open=is_open):
                found.append(("caller", caller))
        return found

    def _step_actor(self, seat: Any) -> None:
        name = seat.actor.mailbox.name
        waiting = len(seat.actor.mailbox.inbox)
        limit = self.rnd.randint(1, waiting) if waiting > 1 else 1
        failing = None
        if self._happens(self.faults.actor) and not isinstance(seat.actor, Guardian):
            if isinstance(seat.actor, Persistence) and seat.is_started:
                self._commit_fault = self.rnd.choice(("bug", "failed before", "failed after"))
            else:
                failing = self.rnd.choice(("before", "after"))
        self._note(f"{name} {limit}/{waiting} {failing or ''}")
        if name == "dispatcher" and not seat.is_started:
            self.witness.buckets_filled(self.times.now)
        self.loop.turn(seat, limit, failing)
        if self.witness.connection is None:
            self.witness.connection = open_reader(locate(self.path))
        if isinstance(seat.actor, Persistence) and self.witness.observe():
            self.witness.see_bounds(self._waited)
            self.witness.see_starts(self._waited, self._bounds)

    def _step_begin(self, pool: SteppedPool) -> None:
        run = pool.begin_next()
        self._note(f"begin {run.claim.id}/{run.claim.run} phase {run.claim.phase}")

    def _step_work(self, where: tuple[SteppedPool, Worker]) -> None:
        pool, worker = where
        self._note(f"work {worker.run.claim.id}/{worker.run.claim.run}")
        pool.step(worker)
        if worker.run.waits:
            self._waited.add(worker.run.claim.id)

    def _step_detached(self, nobody: None) -> None:
        self._note("detached")
        self.loop.run_detached()

    def _step_caller(self, caller: Caller) -> None:
        self._note(f"caller {self._callers.index(caller)}")
        caller.is_inside = True
        pause = next(caller.script, None)
        caller.is_inside = False
        caller.is_over = pause is None
        caller.pause = Pause(until=float("inf")) if pause is None else pause

    # Time

    def _pass_time(self, limit: float | None) -> bool:
        """To the next moment at which something happens; False where nothing will."""
        moments = [seat.wake_at for seat in self.loop.seats if seat.wake_at is not None]
        pauses = [one.pause for pool in self.pools for one in pool.workers]
        pauses += [caller.pause for caller in self._callers]
        moments += [pause.until for pause in pauses if pause.until is not None]
        if limit is not None:
            moments.append(limit)
        ahead = [moment for moment in moments if self.times.now < moment < float("inf")]
        if not ahead:
            return False
        self.times.now = min(ahead)
        self._note(f"time {self.times.now:.3f}")
        return True

    # Looking

    def _see_idle(self) -> None:
        """Nobody has anything to do: then nothing that could start is left lying."""
        connection = self.witness.connection
        if self.runtime.state is not Phases.RUNNING or connection is None or self._is_recovering():
            return
        limits = self.runtime.limits
        slots = limits.slots
        runs = [one.run for pool in self.pools if pool.name == "run" for one in pool.workers]
        abandoned = {run.claim.id for run in runs if run.is_abandoned}
        busy = {run.claim.id for run in runs if not run.is_abandoned and not run.waits}
        if len(busy) < slots and not self.nature.has_readings:
            ready = connection.execute(
                "SELECT t.id, t.name, t.grp FROM task t LEFT JOIN task p ON p.id = t.parent_id WHERE t.status = 'pending' "
                "AND t.delayed = 0 AND t.held = 0 AND t.crashes < :most AND (p.child_concurrency IS NULL "
                "OR p.child_concurrency > (SELECT count(*) FROM task s WHERE s.parent_id = p.id "
                # what waits for the end of a thread or of a suspect keeps its place
                "AND ((s.executing AND s.phase < 2 AND s.id NOT IN (SELECT value FROM json_each(:lent))) "
                "OR s.crashes >= :most OR s.id IN (SELECT value FROM json_each(:abandoned)))))",
                {
                    "most": MAX_CRASHES - 1,
                    "lent": str([run.claim.id for run in runs if run.waits]),
                    "abandoned": str(sorted(abandoned)),
                },
            ).fetchall()
            running = [(one.claim.name, one.claim.grp) for one in runs if one.is_abandoned or one.claim.id in busy]
            idle = [
                task_id
                for task_id, name, group in ready
                if task_id not in abandoned and not _is_held(limits, name, group, running)
            ]
            if idle:
                raise Violation(f"tasks {idle} are ready, {slots - len(busy)} slots are free, and nothing happens")
        left = connection.execute(
            "SELECT id, 'cascade' FROM task WHERE cascade <> 0 "
            "UNION ALL SELECT id, 'due' FROM task WHERE delayed = 1 AND status = 'pending' AND run_at_ms <= ?1 "
            "UNION ALL SELECT id, 'due series' FROM series WHERE state = 'active' AND watch <> 0 AND next_run_ms <= ?1 "
            "UNION ALL SELECT 0, 'due ' || name FROM pause WHERE until_ms <= ?1 - 1000",  # its timer may be set late
            (self.times.steady_ms() - 2,),  # the clock's timer is that much late at most: milliseconds are rounded
        ).fetchall()
        if left:
            raise Violation(f"nothing happens, and these wait for something: {left}")

    def _see_counts(self) -> None:
        """S-345: what has started, less what has finished, runs."""
        for pool in self.pools[-2:]:
            if pool.name != "run":
                continue
            names = pool._counts.names.values()
            counted = sum(one.started - sum(one.finished.values()) for one in names)
            running = sum(1 for one in pool.workers if not one.run.is_abandoned and not one.run.has_ended)
            if counted != running:
                raise Violation(f"started less finished is {counted}, and {running} run (S-345)")

    def _is_recovering(self) -> bool:
        """An actor is being replaced, or the store is to be tried again."""
        names = {seat.actor.mailbox.name for seat in self.loop.seats}
        if not {"persistence", "clock", "dispatcher"} <= names:
            return True
        return any(isinstance(seat.actor, Persistence) and seat.actor._retry_at is not None for seat in self.loop.seats)

    # Faults

    def _happens(self, likelihood: float) -> bool:
        return likelihood > 0.0 and self.rnd.random() < likelihood

    def _faulty(self, session: Session) -> Session:
        """A session whose commits fail where the world says so."""
        commit = session.commit

        def fail() -> None:
            fault, self._commit_fault = self._commit_fault, None
            if fault is None:
                commit()
                return
            self._note(f"commit {fault}")
            match fault:
                case "refused":
                    raise StoreFull("simulated", path="x")
                case "unknown":
                    # Seen from the process it is not done, as the log is begun anew before anything else is written.
                    raise CommitUnknown("simulated", path="x")
                case "bug":
                    self.witness.over.clear()  # where it was a run's end, that cannot be recorded
                    raise ActorFailed
                case "failed before":
                    raise MemoryFailed
                case "failed after":
                    commit()
                    raise MemoryFailed
                case _:
                    commit()
                    raise ProcessDied

        session.commit = fail
        return session

    # What clients, scripts and the runtime ask of it

    def traits(self, name: str) -> Traits | None:
        """The tasks of this program."""
        return None if name == self._hidden else TRAITS.get(name)

    def aliases(self) -> dict[str, str]:
        """None of them had another name."""
        return {}

    def sample(self) -> ResourceSnapshot:
        """A machine on which the disk has its limit."""
        return ResourceSnapshot(0.1, 10_000.0, 0.0, 0.0, 0.0)

    def hurried(self) -> None:
        self.witness.by_hand += 1

    def tuned(self, kind: str, name: str, value: int | RateLimit | None) -> None:
        """See ``Office``."""
        self._bounds.widen(kind, name, value)

    def next_op(self) -> bool:
        """See ``Office``."""
        self._ops_left -= self._ops_left > 0
        return self._ops_left > 0

    def pick(self, share: float) -> int | None:
        """Some task, rather a newer one."""
        return self._known[-1 - int(share * share * len(self._known))] if self._known else None

    def acknowledged(self, task_id: int, kind: SubmitKind) -> None:
        """See ``Stage``."""
        self._note(f"{kind.value} {task_id}")
        if task_id not in self._known:
            self._known.append(task_id)
        self.witness.task_acknowledged(task_id)

    def stopped(self, task_id: int, end: str) -> None:
        """See ``Stage``."""
        self.witness.stop_told(task_id, end)

    def ended(self, task_id: int, status: str) -> None:
        """See ``Stage``."""
        self.witness.end_told(task_id, status)

    def began(self, run: Run) -> None:
        """See ``Stage``."""
        self.witness.run_began(run)
        rate = self.nature.limits.task_rates.get(run.claim.name)
        if rate is not None and run.claim.phase == Phase.BODY:
            self.witness.see_rate(rate, self.times.now)

    def _make_pool(self, runner: Any, report: Any, **more: Any) -> Any:
        pool = SteppedPool(runner, report, driver=self, on_end=self._on_run_end, **more)
        self.pools.append(pool)
        return pool

    def _on_run_end(self, run: Run, outcome: RunOutcome) -> None:
        self._note(f"ended {run.claim.id}/{run.claim.run} {outcome.kind.value} asked {outcome.asked}")
        self.witness.run_ended(run, outcome)

    def _note(self, what: str) -> None:
        self._trace.update(what.encode())
        if self.log is not None:
            self.log.append(f"{self._steps} {self.times.now:.3f} {what}")


def _is_held(limits: Limits, name: str, group: str | None, running: Iterable[tuple[str, str | None]]) -> bool:
    """Whether anything but the slots and its parent may keep a task from starting now."""
    domain = name.partition("::")[0]
    in_domain = sum(1 for other, _ in running if other.partition("::")[0] == domain)
    in_group = sum(1 for _, other in running if other == group)
    most = None if group is None else limits.groups.get(group, limits.default_group)
    return (
        limits.holds(name, group)
        or name in limits.task_rates
        or group in limits.group_rates
        or in_domain >= limits.domains.get(domain, inf)
        or (most is not None and in_group >= most)
    )


@contextmanager
def silenced() -> Iterator[None]:
    """What the runtime logs of the faults is not of interest."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)


def play(seed: int, directory: Path) -> str:
    """Play one seed; its digest."""
    world = World(seed, directory)
    try:
        with silenced(), drawn_bounds(random.Random(f"bounds {seed}")):
            return world.play()
    finally:
        world.remove()
