"""Random callers: what a program does with a scheduler from outside, step by step."""

import random
from collections.abc import Generator, Iterator
from typing import Any, Protocol

from plans import Spec, draw_spec
from scripts import Stage, see_stored
from virtual import Pause

from millrace.actors.flows import NewFlow
from millrace.actors.mailbox import Reply
from millrace.actors.requests import (
    Cancel,
    CancelFlow,
    ChangeSeries,
    EndFlow,
    Flush,
    OpenFlow,
    Repeat,
    Resume,
    RunNow,
    Submit,
    Tune,
    Unwatch,
    UpdateFlow,
    Watch,
)
from millrace.actors.requests import Pause as PauseScope
from millrace.actors.stored import Stored
from millrace.model.errors import MillraceError
from millrace.model.limits import RateLimit
from millrace.model.statuses import SubmitKind
from millrace.store.records import make_record
from millrace.store.writer import SettledRow


class Office(Stage, Protocol):
    """What clients see of the world."""

    rnd: random.Random
    flows: list[int]
    pressure: float

    def next_op(self) -> bool:
        """Whether there is anything left to do; counts it."""
        ...

    def tuned(self, kind: str, name: str, value: int | RateLimit | None) -> None:
        """A limit may be this from now on."""
        ...

    def hurried(self) -> None:
        """Something may be made due by hand from now on."""
        ...


KINDS = (
    ("submit", 10),
    ("batch", 3),
    ("child", 4),
    ("cancel", 5),
    ("watch", 3),
    ("open_flow", 2),
    ("flow_child", 4),
    ("update_flow", 1),
    ("end_flow", 2),
    ("cancel_flow", 1),
    ("repeat", 2),
    ("pause", 2),
    ("resume", 3),
    ("tune", 3),
    ("series", 2),
    ("run_now", 1),
    ("press", 1),
    ("flush", 1),
    ("sleep", 3),
)
SCOPES = (("scheduler", ""), ("domain", "sim"), ("domain", "other"), ("group", "g0"), ("group", "g1"))
TUNED: tuple[tuple[Any, str, tuple[int | RateLimit | None, ...]], ...] = (
    ("slots", "", (1, 2, 3)),
    ("domain", "sim", (1, 2, None)),
    ("domain", "other", (1, 2, None)),
    ("group", "g0", (1, 2, None)),
    ("group", "g2", (1, None)),
    ("weight", "g0", (1, 3)),
    ("minimum", "g1", (1, None)),
    ("group_rate", "g2", (RateLimit(2.0), RateLimit(20.0, 3), None)),
)


class Client:
    """One caller."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._rnd = office.rnd

    def work(self) -> Iterator[Pause]:
        """Until nothing is left to do."""
        kinds, weights = zip(*KINDS, strict=True)
        while self._office.next_op():
            yield Pause()
            kind = self._rnd.choices(kinds, weights)[0]
            try:
                yield from getattr(self, f"_{kind}")()
            except MillraceError:
                yield Pause(until=self._office.times.now + 0.05)

    def _ask(self, request: Any, reply: Reply[Any]) -> Generator[Pause, None, Any]:
        self._office.runtime.tell(request)
        yield Pause(reply=reply)
        return reply.result()

    def _pick(self) -> int | None:
        return self._office.pick(self._rnd.random())

    # Submitting

    def _store(self, specs: list[Spec], parent_id: int | None, *, is_batch: bool) -> Iterator[Pause]:
        reply: Reply[list[Stored]] = Reply()
        tasks = tuple(spec.new_task(self._office.times.steady_ms(), self._office.pick, parent_id) for spec in specs)
        request = Submit(tasks, is_batch=is_batch, reply=reply)
        if parent_id is None:
            self._office.runtime.tell(request)
        else:
            self._office.runtime.spawn(parent_id, request)
        yield Pause(reply=reply)
        for stored in reply.result():
            see_stored(self._office, stored)

    def _submit(self) -> Iterator[Pause]:
        yield from self._store([draw_spec(self._rnd)], None, is_batch=False)

    def _batch(self) -> Iterator[Pause]:
        specs = [draw_spec(self._rnd) for _ in range(self._rnd.choice((1, 2, 4)))]
        yield from self._store(specs, None, is_batch=True)

    def _child(self) -> Iterator[Pause]:
        parent_id = self._pick()
        if parent_id is not None:
            yield from self._store([draw_spec(self._rnd, 1)], parent_id, is_batch=False)

    # Flows

    def _open_flow(self) -> Iterator[Pause]:
        reply: Reply[int] = Reply()
        flow = NewFlow(
            "flow::sim",
            self._rnd.choice((None, "f0", "f1")),
            "{}",
            self._rnd.random() < 0.5,
            self._rnd.choice((None, 1)),
        )
        flow_id = yield from self._ask(OpenFlow(flow, reply), reply)
        if flow_id not in self._office.flows:
            self._office.flows.append(flow_id)
        self._office.acknowledged(flow_id, SubmitKind.DUPLICATE)

    def _pick_flow(self) -> int | None:
        return self._rnd.choice(self._office.flows) if self._office.flows else None

    def _flow_child(self) -> Iterator[Pause]:
        flow_id = self._pick_flow()
        if flow_id is not None:
            yield from self._store([draw_spec(self._rnd, 1)], flow_id, is_batch=False)

    def _update_flow(self) -> Iterator[Pause]:
        flow_id = self._pick_flow()
        if flow_id is not None:
            reply: Reply[int] = Reply()
            yield from self._ask(UpdateFlow(flow_id, "{}", self._rnd.choice((None, 1)), reply), reply)

    def _end_flow(self) -> Iterator[Pause]:
        flow_id = self._pick_flow()
        if flow_id is not None:
            reply: Reply[None] = Reply()
            end = EndFlow(flow_id, self._rnd.choice(("finish", "finish", "fail")), '"x"', None, reply)
            yield from self._ask(end, reply)

    def _cancel_flow(self) -> Iterator[Pause]:
        flow_id = self._pick_flow()
        if flow_id is not None:
            reply: Reply[Any] = Reply()
            yield from self._ask(CancelFlow(flow_id, None, reply), reply)

    # The rest

    def _cancel(self) -> Iterator[Pause]:
        task_id = self._pick()
        if task_id is not None:
            reply: Reply[Any] = Reply()
            result = yield from self._ask(Cancel(task_id, reply), reply)
            if result.accepted:
                self._office.stopped(task_id, "cancelled")
            if result.settled:
                self._office.ended(task_id, str(result.status))

    def _watch(self) -> Iterator[Pause]:
        task_id = self._pick()
        if task_id is None:
            return
        reply: Reply[SettledRow] = Reply()
        self._office.runtime.tell(Watch(task_id, reply))
        yield Pause(reply=reply, until=self._office.times.now + self._rnd.choice((0.1, 5.0)))
        if reply.is_set:
            self._office.ended(task_id, str(make_record(reply.result()).status))
        else:
            self._office.runtime.tell(Unwatch(task_id, reply))

    def _repeat(self) -> Iterator[Pause]:
        task_id = self._pick()
        if task_id is not None:
            reply: Reply[Stored] = Reply()
            stored = yield from self._ask(Repeat(task_id, self._rnd.random() < 0.3, reply), reply)
            self._office.acknowledged(stored.id, stored.kind)

    def _pause(self) -> Iterator[Pause]:
        scope, name = self._rnd.choice(SCOPES)
        until_ms = None
        if scope == "group" and self._rnd.random() < 0.6:
            until_ms = self._office.times.wall_ms() + self._rnd.choice((1, 300, 4_000))
        reply: Reply[int] = Reply()
        yield from self._ask(PauseScope(scope, name, until_ms, reply), reply)

    def _resume(self) -> Iterator[Pause]:
        reply: Reply[int] = Reply()
        yield from self._ask(Resume(*self._rnd.choice(SCOPES), reply), reply)

    def _tune(self) -> Iterator[Pause]:
        kind, name, values = self._rnd.choice(TUNED)
        value = self._rnd.choice(values)
        self._office.tuned(kind, name, value)
        reply: Reply[None] = Reply()
        yield from self._ask(Tune(kind, name, value, reply), reply)

    def _series(self) -> Iterator[Pause]:
        task_id = self._pick()
        if task_id is not None:
            reply: Reply[None] = Reply()
            change: Any = self._rnd.choice(("pause", "resume", "cancel"))
            yield from self._ask(ChangeSeries(task_id, change, reply), reply)

    def _run_now(self) -> Iterator[Pause]:
        task_id = self._pick()
        if task_id is not None:
            reply: Reply[bool] = Reply()
            self._office.hurried()
            yield from self._ask(RunNow(task_id, reply), reply)

    def _press(self) -> Iterator[Pause]:
        self._office.pressure = self._rnd.choice((0.0, 0.6, 1.0))
        yield Pause()

    def _flush(self) -> Iterator[Pause]:
        reply: Reply[None] = Reply()
        yield from self._ask(Flush(reply), reply)

    def _sleep(self) -> Iterator[Pause]:
        yield Pause(until=self._office.times.now + self._rnd.choice((0.01, 0.3, 2.0)))
