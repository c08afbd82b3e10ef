"""All executors of one scheduler behind one face: bodies and finalizers on the slots, cancel hooks beside them."""

import time
from collections.abc import Callable, Container, Iterable

from millrace.executors.bodies import Bodies
from millrace.executors.run import Run
from millrace.executors.threads import Report, ThreadExecutor
from millrace.model.census import Census
from millrace.model.errors import InterruptReason
from millrace.model.outcomes import RunOutcome
from millrace.model.rows import Claim, Phase


class Executors:
    """Where the runs of a scheduler are.

    Args:
        bodies: calls the functions.
        report: takes outcomes, in the run's thread.
        on_begin: told of each run just before its function is called, in the run's thread.
        on_thread_end: told of a run that was given up and has ended after all.
        monotonic: the clock that the times of runs are taken from.
        pool: makes what runs them; in a simulation it is no threads.
    """

    def __init__(
        self,
        bodies: Bodies,
        report: Report,
        *,
        on_begin: Callable[[Run], None],
        on_thread_end: Callable[[Run], None],
        monotonic: Callable[[], float] = time.monotonic,
        pool: Callable[..., ThreadExecutor] = ThreadExecutor,
    ) -> None:
        self._bodies = bodies
        self._on_begin = on_begin
        self._monotonic = monotonic
        self._threads = pool(self._run, report, on_thread_end=on_thread_end)
        self._hooks = pool(self._run, report, on_thread_end=on_thread_end, name="hook")

    def when_starved(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called where the system gives no thread for a run: ``resize`` has to be called some time later."""
        self._threads.on_starved = self._hooks.on_starved = tell

    def start(self, slots: int) -> None:
        """Begin, with so many runs at once, and as many hooks."""
        self._threads.start(slots)
        self._hooks.start(slots)

    def resize(self, slots: int) -> None:
        """Change how many run at once."""
        self._threads.resize(slots)
        self._hooks.resize(slots)

    def begin_in_turn(self, *, is_on: bool) -> None:
        """Whether what is claimed from now on begins in the order of the claims, which is not that of urgency with fair shares."""
        self._threads.begin_in_turn(is_on=is_on)

    def begin(self, claims: Iterable[Claim], *, held: Container[tuple[int, int]] = ()) -> None:
        """Run what has been claimed. Bodies and finalizers whose (task, run) is among ``held`` are held back from the first."""
        runs = [Run(claim) for claim in claims]
        hooks = [run for run in runs if run.claim.phase == Phase.HOOK]
        if hooks:
            self._hooks.submit(hooks)
            runs = [run for run in runs if run.claim.phase != Phase.HOOK]
        if runs:
            self._threads.submit(runs, held=held)

    def pause(self) -> None:
        """Begin nothing more, until the next ``start``."""
        self._threads.pause()
        self._hooks.pause()

    def stop(self) -> None:
        """Let the threads end with their runs."""
        self._threads.stop()
        self._hooks.stop()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing runs; False where ``timeout_s`` was not enough. What has not begun while paused does not count."""
        end = self._monotonic() + timeout_s
        return self._threads.wait_idle(timeout_s) and self._hooks.wait_idle(max(0.0, end - self._monotonic()))

    # Looking

    def runs(self) -> list[Run]:
        """Bodies and finalizers, begun or waiting for a slot."""
        return self._threads.runs()

    def hook_runs(self) -> list[Run]:
        """Hooks, begun or waiting."""
        return self._hooks.runs()

    def abandoned(self) -> list[Run]:
        """Runs that were given up and whose threads still go on."""
        return self._threads.abandoned() + self._hooks.abandoned()

    def census(self) -> tuple[Census, Census]:
        """Bodies and finalizers, and hooks: what is counted of them, and what runs now."""
        return self._threads.census(), self._hooks.census()

    def run_of(self, task_id: int) -> Run | None:
        """The run of a task."""
        return self._threads.run_of(task_id) or self._hooks.run_of(task_id)

    def is_running(self, task_id: int, run_number: int) -> bool:
        """Whether that run is here."""
        run = self.run_of(task_id)
        return run is not None and run.claim.run == run_number

    def timeout_left_s(self, run: Run) -> float | None:
        """Seconds until a run is out of time; None: it may take as long as it likes."""
        timeout_s = self._bodies.timeout_s(run)
        if timeout_s is None:
            return None
        return max(0.0, timeout_s - (0.0 if run.begun_at is None else self._monotonic() - run.begun_at))

    def hook_timeout_s(self, task_id: int, run_number: int) -> float | None:
        """Seconds that a cancel hook under way has; None where that run is no hook, or has ended."""
        run = self._hooks.run_of(task_id)
        return None if run is None or run.claim.run != run_number else self._bodies.timeout_s(run)

    def abandoned_timeout_s(self, task_id: int, run_number: int) -> float | None:
        """Seconds that a run had which was given up because they had passed; None where it was given up for another reason."""
        for run in self._threads.abandoned():
            if run.claim.id == task_id and run.claim.run == run_number and run.asked == "timeout":
                return self._bodies.timeout_s(run)
        return None

    # Stopping

    def hold_back(self, is_over: Callable[[Claim], bool]) -> None:
        """Begin no more those bodies and finalizers for which it is so: they wait to be taken back."""
        self._threads.hold_back(is_over)

    def is_held_back(self, run: Run) -> bool:
        """Whether it has not begun, never will, and is to be taken back."""
        return self._threads.is_held_back(run)

    def withdraw(self) -> list[Claim]:
        """Take back all that has not begun."""
        return [run.claim for run in self._threads.withdraw() + self._hooks.withdraw()]

    def withdraw_after(self, place: tuple[int, int, int]) -> Claim | None:
        """Take back the last that has not begun, where it comes after this place in the order of starts."""
        run = self._threads.withdraw_after(place)
        return None if run is None else run.claim

    def withdraw_one(self, task_id: int, run_number: int) -> bool:
        """Take one back; False where it has begun, or is not here."""
        return self._threads.withdraw_one(task_id, run_number)

    def interrupt(self, task_id: int, run_number: int, reason: InterruptReason) -> bool:
        """Ask a run to stop; False where it is not here."""
        return self._threads.interrupt(task_id, run_number, reason)

    def interrupt_overdue(self, task_id: int, run_number: int) -> float | None:
        """Ask a run that is out of time to stop; the time it had, or None where it has ended."""
        run = self._threads.run_of(task_id)
        if run is None or run.claim.run != run_number:
            return None
        run.ask("timeout")
        return self._bodies.timeout_s(run)

    def interrupt_all(self, reason: InterruptReason) -> None:
        """Ask all runs to stop, hooks too."""
        self._threads.interrupt_all(reason)
        self._hooks.interrupt_all(reason)

    def abandon(self, task_id: int, run_number: int, why: str) -> RunOutcome | None:
        """Give a run up; the outcome to record, or None where it has ended by itself."""
        run = self._threads.abandon(task_id, run_number) or self._hooks.abandon(task_id, run_number)
        return None if run is None else self._bodies.given_up(run, why)

    # Lending slots

    def lend(self, run: Run) -> None:
        """The run waits for another task."""
        self._threads.lend(run)

    def reclaim(self, run: Run) -> None:
        """The run goes on."""
        self._threads.reclaim(run)

    def _run(self, run: Run) -> RunOutcome:
        self._on_begin(run)
        return self._bodies.run(run)
