"""Random tasks: what a submission says and what its body does, drawn from a seed and kept in the payload as JSON."""

import random
from collections.abc import Callable
from typing import Any, Final

import msgspec

from millrace.model.catalog import Traits
from millrace.model.io import encode_io
from millrace.model.new_tasks import NewTask
from millrace.model.records import IoBudget
from millrace.model.schedule import Cron, Every, encode_schedule

TRAITS: Final = {
    "sim::leaf": Traits(has_finalizer=False, has_hook=False),
    "sim::parent": Traits(has_finalizer=True, has_hook=False),
    "sim::hooked": Traits(has_finalizer=False, has_hook=True),
    "sim::both": Traits(has_finalizer=True, has_hook=True),
    "other::leaf": Traits(has_finalizer=False, has_hook=False),
}
RATED: Final = "other::leaf"
"""The task that has a rate in some worlds."""
GROUPS: Final = (None, None, None, "g0", "g1", "g2")
LEAVES: Final = ("sim::leaf", "sim::leaf", "sim::hooked", RATED)
POLICIES: Final = ("skip", "skip", "skip", "supersede", "supersede", "reject", "allow")
DEEPEST: Final = 2


class Plan(msgspec.Struct):
    """What the functions of a task do. The same in each run, so that a repeated run does it again."""

    ops: list[list[Any]]
    """Of the body, one after the other."""
    fails: int = 0
    """Runs of the body, from the first attempt on, that end in a retryable error."""
    is_hopeless: bool = False
    """The body ends in a permanent error."""
    delay_s: float = 0.0
    timeout_s: float | None = None
    deaf_s: float = 0.0
    """How long it goes on after it was asked to stop."""
    swallows: bool = False
    """Returns instead of raising where it was asked to stop."""
    finalizer: list[list[Any]] = []
    finalizer_fails: int = 0
    hook: str = "ok"
    policy: str = "skip"


class Spec(msgspec.Struct):
    """One submission."""

    name: str
    key: str
    plan: Plan
    priority: int | None = None
    max_retries: int = 1
    fail_fast: bool = True
    max_failures: int | float | None = None
    child_concurrency: int | None = None
    run_after_s: float | None = None
    group: str | None = None
    tags: dict[str, str] | None = None
    ttl_s: float | None = None
    ttl_first: bool = False
    after: list[float] = []
    """Whose end it waits for: shares of the tasks that are known where it is submitted."""
    on_dependency_failure: str = "cancel"
    schedule: str | None = None
    io: int = 0
    """Bytes that it says it reads from the disk."""

    def new_task(
        self,
        steady_ms: int,
        pick: Callable[[float], int | None],
        parent_id: int | None = None,
        spawner: tuple[int, int] | None = None,
    ) -> NewTask:
        """The submission as the runtime takes it."""
        found = dict.fromkeys(pick(share) for share in self.after)
        return NewTask(
            name=self.name,
            key=self.key,
            label=self.key,
            priority=self.priority,
            payload=msgspec.json.encode(self.plan).decode(),
            max_retries=self.max_retries,
            policy=self.plan.policy,
            fail_fast=self.fail_fast,
            max_failures=self.max_failures,
            child_concurrency=self.child_concurrency,
            run_at_ms=None if self.run_after_s is None else steady_ms + round(self.run_after_s * 1000),
            parent_id=parent_id,
            spawner_id=None if spawner is None else spawner[0],
            spawner_run=None if spawner is None else spawner[1],
            group=self.group,
            tags=self.tags,
            ttl_ms=None if self.ttl_s is None else round(self.ttl_s * 1000),
            ttl_source="none" if self.ttl_s is None else "own",
            ttl_first=self.ttl_first,
            depends_on=tuple(task_id for task_id in found if task_id is not None),
            on_dependency_failure=self.on_dependency_failure,
            schedule=self.schedule if parent_id is None else None,
            expected_io=encode_io(IoBudget.disk(read=self.io)) if self.io else None,
        )


def draw_spec(rnd: random.Random, depth: int = 0) -> Spec:
    """A random submission; deeper ones have fewer children."""
    is_parent = depth < DEEPEST and rnd.random() < 0.4
    name = rnd.choice(tuple(TRAITS)[:-1] if is_parent else LEAVES)
    is_series = not depth and rnd.random() < 0.08
    return Spec(
        name=name,
        key=rnd.choice(("k0", "k1")) if rnd.random() < 0.3 else f"u{rnd.randrange(1_000_000)}",
        plan=_draw_plan(rnd, depth, is_parent=is_parent),
        priority=rnd.choice((None, None, 0, 64, 192)),
        max_retries=rnd.choice((0, 1, 2)),
        fail_fast=rnd.random() < 0.6,
        max_failures=rnd.choice((None, None, 0, 1, 0.5)),
        child_concurrency=rnd.choice((None, None, 1, 2)),
        run_after_s=rnd.choice((0.0, 0.5, 3.0)) if rnd.random() < 0.15 else None,
        group=rnd.choice(GROUPS),
        tags={"k": rnd.choice("ab"), "deep": str(depth)} if rnd.random() < 0.2 else None,
        ttl_s=rnd.choice((0.0, 0.05, 0.5, 5.0)) if rnd.random() < 0.12 else None,
        ttl_first=rnd.random() < 0.3,
        after=[rnd.random() for _ in range(rnd.choice((1, 1, 2, 4)))]
        if rnd.random() < (0.06 if depth else 0.25)
        else [],
        on_dependency_failure=rnd.choice(("cancel", "fail", "ignore")),
        schedule=_draw_schedule(rnd) if is_series else None,
        io=rnd.choice((1_000, 100_000)) if rnd.random() < 0.2 else 0,
    )


def _draw_schedule(rnd: random.Random) -> str:
    max_runs, catch_up = rnd.choice((1, 2, 3, None)), rnd.choice(("once", "all", "none"))
    if rnd.random() < 0.3:
        return encode_schedule(Cron("* * * * *", max_runs=max_runs, catch_up=catch_up))
    return encode_schedule(
        Every(rnd.choice((0.1, 0.5, 2.0)), rnd.choice((0.0, 0.4)), max_runs=max_runs, catch_up=catch_up)
    )


def _draw_plan(rnd: random.Random, depth: int, *, is_parent: bool) -> Plan:
    ops = [_draw_op(rnd, depth, is_parent=is_parent) for _ in range(rnd.choice((0, 1, 1, 2, 3)))]
    if is_parent and not any(op[0] == "spawn" for op in ops):
        ops.insert(0, _draw_spawn(rnd, "spawn", depth))
    return Plan(
        ops=ops,
        fails=rnd.choice((1, 1, 2, 9)) if rnd.random() < 0.25 else 0,
        is_hopeless=rnd.random() < 0.08,
        delay_s=rnd.choice((0.0, 0.0, 0.2, 2.0)),
        timeout_s=rnd.choice((0.3, 1.0)) if rnd.random() < 0.1 else None,
        deaf_s=rnd.choice((0.1, 3.0, 30.0)) if rnd.random() < 0.15 else 0.0,
        swallows=rnd.random() < 0.3,
        finalizer=[
            _draw_op(rnd, depth, is_parent=is_parent and rnd.random() < 0.3) for _ in range(rnd.choice((0, 0, 1)))
        ],
        finalizer_fails=rnd.choice((1, 9)) if rnd.random() < 0.15 else 0,
        hook=rnd.choice(("ok", "ok", "raise", "hang", "sleep")),
        policy=rnd.choice(POLICIES),
    )


def _draw_op(rnd: random.Random, depth: int, *, is_parent: bool) -> list[Any]:
    roll = rnd.random()
    if is_parent and roll < 0.45:
        return _draw_spawn(rnd, "spawn", depth)
    if depth and roll < 0.15:
        return _draw_spawn(rnd, "sibling", DEEPEST)
    kind = rnd.choice(
        ("step", "step", "sleep", "sleep", "hang", "cancel", "wait", "root", "cancel_self", "wait_any", "move")
    )
    if kind in ("move", "sleep"):
        return [kind, rnd.choice((500, 50_000) if kind == "move" else (0.01, 0.2, 2.0))]
    if kind in ("cancel", "wait", "wait_any"):
        return [kind, rnd.random()]
    if kind == "root" and rnd.random() < 0.4:
        spec = draw_spec(rnd, DEEPEST)
        spec.priority = spec.priority or None  # an urgent one would preempt its submitter in each of its runs, for ever
        return [kind, msgspec.to_builtins(spec)]
    is_plain = kind == "hang" or (kind == "cancel_self" and rnd.random() < 0.2)
    return [kind if is_plain else "step"]


def _draw_spawn(rnd: random.Random, kind: str, depth: int) -> list[Any]:
    specs = [draw_spec(rnd, depth + 1) for _ in range(rnd.choice((1, 1, 2, 3)))]
    return [kind, msgspec.to_builtins(specs), rnd.random() < 0.5]
