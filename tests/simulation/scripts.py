"""The functions of simulated tasks: each plays its plan step by step, with the messages that a Context sends."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from plans import Plan, Spec
from virtual import Pause, Script, VirtualTimes

from millrace.actors.mailbox import Reply
from millrace.actors.requests import AskAncestors, Cancel, Submit, Unwatch, Watch
from millrace.actors.runtime import Runtime
from millrace.actors.stored import Stored
from millrace.executors.run import Run
from millrace.model.errors import InterruptReason, MillraceError
from millrace.model.io import encode_moved
from millrace.model.new_tasks import NewTask
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.records import CancelResult
from millrace.model.rows import Phase
from millrace.model.statuses import SubmitKind
from millrace.store.writer import SettledRow


class Stage(Protocol):
    """What scripts see of the world."""

    times: VirtualTimes
    runtime: Runtime

    def began(self, run: Run) -> None:
        """A function is called."""
        ...

    def acknowledged(self, task_id: int, kind: SubmitKind) -> None:
        """A submission was answered."""
        ...

    def stopped(self, task_id: int, end: str) -> None:
        """Somebody was told that a task will end so."""
        ...

    def ended(self, task_id: int, status: str) -> None:
        """Somebody was told of the end of a task."""
        ...

    def pick(self, share: float) -> int | None:
        """Some task that was submitted."""
        ...


def see_stored(stage: Stage, stored: Stored) -> None:
    """A submission was answered: what it has replaced ends."""
    stage.acknowledged(stored.id, stored.kind)
    if stored.replaced is not None:
        stage.stopped(stored.replaced, "superseded")


class _Interrupted(Exception):
    """The run raises the interruption of its own."""


class _Failed(Exception):
    def __init__(self, *, is_retryable: bool) -> None:
        super().__init__("as planned")
        self.is_retryable = is_retryable


_decode_plan = msgspec.json.Decoder(Plan).decode


class ScriptedBodies:
    """Stands in for the calls of user functions: ``run`` gives the script that a stepped pool plays."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def run(self, run: Run) -> Any:
        """The script of a run; its result is the outcome."""
        self._stage.began(run)
        return self._play(run)

    def timeout_s(self, run: Run) -> float | None:
        """As ``Bodies``."""
        if run.claim.phase == Phase.HOOK:
            return self._stage.runtime._settings.cancel_timeout_s
        return _decode_plan(run.claim.payload).timeout_s

    def given_up(self, run: Run, why: str) -> RunOutcome:
        """As ``Bodies``."""
        return _failure(run, why, _decode_plan(run.claim.payload), is_retryable=True, is_abandoned=True)

    def _play(self, run: Run) -> Script:
        plan = _decode_plan(run.claim.payload)
        try:
            yield from Performance(self._stage, run, plan).play()
        except _Interrupted:
            if run.asked != "timeout":
                return _outcome(run, RunKind.INTERRUPTED)
        except _Failed as error:
            return _failure(run, "RuntimeError: as planned", plan, is_retryable=error.is_retryable)
        if run.asked == "timeout":
            return _failure(run, "TimeoutError: timed out", plan, is_retryable=True)
        memo = '"memo"' if run.claim.phase == Phase.BODY else None
        return _outcome(run, RunKind.RETURNED, memo=memo)


def _outcome(run: Run, kind: RunKind, **more: Any) -> RunOutcome:
    claim = run.claim
    return RunOutcome(
        claim.id,
        claim.run,
        claim.phase,
        claim.name,
        kind,
        asked=run.asked,
        duration_s=0.01,
        parent_id=claim.parent_id,
        parent_round=claim.parent_round,
        claim=claim,
        actual_io=encode_moved(run.recorded_io),
        **more,
    )


def _failure(run: Run, error: str, plan: Plan, *, is_retryable: bool, is_abandoned: bool = False) -> RunOutcome:
    claim = run.claim
    is_repeated = is_retryable and claim.retries < claim.max_retries
    return _outcome(
        run,
        RunKind.FAILED,
        error=error,
        retryable=is_retryable,
        retry_delay_s=plan.delay_s if is_repeated else None,
        abandoned=is_abandoned,
    )


class Performance:
    """One run of one function."""

    def __init__(self, stage: Stage, run: Run, plan: Plan) -> None:
        self._stage = stage
        self._run = run
        self._plan = plan
        self._spawned: list[int] = []

    def play(self) -> Generator[Pause, None, None]:
        """All of it."""
        claim, plan = self._run.claim, self._plan
        match Phase(claim.phase):
            case Phase.HOOK:
                yield from self._play_hook()
            case Phase.FINALIZER:
                yield from self._play_ops(plan.finalizer)
                self._fail_where_planned(plan.finalizer_fails)
            case _:
                yield from self._play_ops(plan.ops)
                self._fail_where_planned(plan.fails)
                if plan.is_hopeless:
                    raise _Failed(is_retryable=False)

    def _play_hook(self) -> Iterator[Pause]:
        yield Pause()
        match self._plan.hook:
            case "raise":
                raise _Failed(is_retryable=False)
            case "sleep":
                yield Pause(until=self._stage.times.now + 0.3, run=self._run)
            case "hang":
                yield Pause(until=self._stage.times.now + 60.0, run=self._run, gate=True)
        if self._run.asked is not None:
            raise _Interrupted

    def _fail_where_planned(self, fails: int) -> None:
        if self._run.claim.retries < fails:
            raise _Failed(is_retryable=True)

    def _play_ops(self, ops: Sequence[list[Any]]) -> Iterator[Pause]:
        yield Pause()
        for op in ops:
            yield from self._heed()
            yield from self._play_op(op)
        yield from self._heed()

    def _heed(self) -> Iterator[Pause]:
        """Where it was asked to stop, it does, sooner or later, one way or the other."""
        if self._run.asked is None:
            return
        if self._plan.deaf_s:
            yield Pause(until=self._stage.times.now + self._plan.deaf_s)
        if not self._plan.swallows:
            raise _Interrupted

    def _play_op(self, op: list[Any]) -> Iterator[Pause]:
        kind, *arguments = op
        yield from getattr(self, f"_op_{kind}")(*arguments)

    # Steps of a plan

    def _op_step(self) -> Iterator[Pause]:
        yield Pause()

    def _op_sleep(self, seconds: float) -> Iterator[Pause]:
        yield Pause(until=self._stage.times.now + seconds, run=self._run)

    def _op_hang(self) -> Iterator[Pause]:
        yield Pause(gate=True, run=self._run)

    def _op_move(self, size: int) -> Iterator[Pause]:
        """As ``Context.record_io``."""
        self._run.record_io((size, 0, 0, 0))
        yield Pause()

    def _op_spawn(self, specs: list[Any], is_batch: bool) -> Iterator[Pause]:
        yield from self._spawn(self._run.claim.id, specs, is_batch=is_batch)

    def _op_sibling(self, specs: list[Any], is_batch: bool) -> Iterator[Pause]:
        if self._run.claim.parent_id is not None:
            yield from self._spawn(self._run.claim.parent_id, specs, is_batch=is_batch)

    def _op_root(self, spec: Any) -> Iterator[Pause]:
        yield from self._submit(msgspec.convert(spec, Spec))

    def _op_cancel(self, share: float) -> Iterator[Pause]:
        victim = self._stage.pick(share)
        if victim is not None:
            reply: Reply[CancelResult] = Reply()
            result = yield from self._ask(Cancel(victim, reply), reply)
            if result is not None and result.accepted:
                self._stage.stopped(victim, "cancelled")

    def _op_cancel_self(self) -> Iterator[Pause]:
        yield Pause()
        raise _Interrupted

    def _op_wait(self, share: float) -> Iterator[Pause]:
        if self._spawned:
            yield from self._wait(self._spawned[int(share * len(self._spawned))])

    def _op_wait_any(self, share: float) -> Iterator[Pause]:
        other = self._stage.pick(share)
        if other is not None:
            yield from self._wait(other)

    # What a Context does

    def _check_alive(self) -> None:
        if self._run.is_abandoned:
            raise _Interrupted

    def _spawn(self, parent_id: int, specs: list[Any], *, is_batch: bool) -> Iterator[Pause]:
        claim = self._run.claim
        spawner = (claim.id, claim.run)
        stage = self._stage
        tasks = [
            msgspec.convert(spec, Spec).new_task(stage.times.steady_ms(), stage.pick, parent_id, spawner)
            for spec in specs
        ]
        for group in [tasks] if is_batch else [[task] for task in tasks]:
            self._check_alive()
            yield from self._store(parent_id, group, is_batch=is_batch)

    def _store(self, parent_id: int, tasks: list[NewTask], *, is_batch: bool) -> Generator[Pause, None, None]:
        reply: Reply[list[Stored]] = Reply()
        try:
            self._stage.runtime.spawn(parent_id, Submit(tuple(tasks), is_batch=is_batch, reply=reply))
            yield Pause(reply=reply)
            for stored in reply.result():
                see_stored(self._stage, stored)
                self._spawned.append(stored.id)
        except MillraceError as error:
            if not self._plan.swallows:
                raise _Failed(is_retryable=False) from error

    def _submit(self, spec: Spec) -> Generator[Pause, None, None]:
        self._check_alive()
        reply: Reply[list[Stored]] = Reply()
        task = spec.new_task(self._stage.times.steady_ms(), self._stage.pick)
        request = Submit((task,), is_batch=False, reply=reply)
        stored = yield from self._ask(request, reply)
        if stored is not None:
            see_stored(self._stage, stored[0])

    def _ask(self, request: Any, reply: Reply[Any]) -> Generator[Pause, None, Any]:
        try:
            self._stage.runtime.tell(request)
            yield Pause(reply=reply)
            return reply.result()
        except MillraceError:
            return None

    def _wait(self, task_id: int) -> Iterator[Pause]:
        """As ``TaskHandle.wait`` in a body: the slot is lent, and being asked to stop ends the wait."""
        ancestors: Reply[list[int]] = Reply()
        above = yield from self._ask(AskAncestors(self._run.claim.id, ancestors), ancestors)
        if above is None or task_id in above:
            return
        reply: Reply[SettledRow] = Reply()

        def stop(reason: InterruptReason) -> None:
            reply.fail(InterruptedError(reason))

        runtime, run = self._stage.runtime, self._run
        runtime.lend(run)
        run.listen(stop)
        try:
            runtime.tell(Watch(task_id, reply))
            yield Pause(reply=reply, until=self._stage.times.now + 20.0)
            if reply.is_set:
                self._stage.ended(task_id, reply.result()[4])
            else:
                runtime.tell(Unwatch(task_id, reply))
        except InterruptedError:
            with suppress(MillraceError):
                runtime.tell(Unwatch(task_id, reply))
        except MillraceError:
            return
        finally:
            run.unlisten(stop)
            runtime.reclaim(run)
