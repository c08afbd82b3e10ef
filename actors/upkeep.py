"""What comes with time, or with another limit: delayed tasks, deadlines, ends of pauses, settings in force."""

from collections.abc import Callable
from typing import Any, Final

from millrace.actors import expiring, pausing, recurring, tuning
from millrace.actors.clock import NextDue, earlier
from millrace.actors.delivery import Delivery
from millrace.actors.effects import Effects
from millrace.actors.ledger import Ledger
from millrace.actors.mailbox import Tells
from millrace.actors.policy.limits import Limits
from millrace.actors.requests import (
    EndPauses,
    ExpireDue,
    PromoteDue,
    RefreshLimits,
    ResumePreempted,
    SampleProgress,
    Tune,
)
from millrace.actors.ticks import write_sample
from millrace.actors.times import Times
from millrace.model.rows import Delay

DUE_STEP: Final = 1000


class Upkeep:
    """See the module.

    Args:
        delivery: sets timers, and tells the clock what is due next.
        mailbox: the persistence actor's own.
        times: the clocks.
        code_limits: the program's own limits, without what was set and paused at run time.
    """

    def __init__(
        self, *, delivery: Delivery, mailbox: Tells[Any], times: Times, code_limits: Callable[[], Limits]
    ) -> None:
        self._delivery = delivery
        self._mailbox = mailbox
        self._times = times
        self._code_limits = code_limits
        self._pause_timer = pausing.Timer()

    # Delays and deadlines

    def promote(self, ledger: Ledger, request: PromoteDue) -> None:
        """Make ready what is due."""
        del request
        recurring.look(ledger, DUE_STEP)
        ledger.flush()
        ids = ledger.writer.starts.promote_due(ledger.steady_ms, DUE_STEP)
        ids += ledger.writer.starts.promote_due(ledger.now_ms, DUE_STEP, by_wall_clock=True)
        ledger.load(ids)
        due = [row for task_id in ids if (row := ledger.row(task_id)) is not None]
        ledger.load(row.parent_id for row in due if row.limited and row.parent_id is not None)
        for row in due:
            row.delayed = 0
            ledger.ready(row)

    def tell_next_due(self, ledger: Ledger) -> None:
        """What the clock waits for next, of tasks and of series."""
        writer, steady, wall = ledger.writer, Delay.STEADY, Delay.WALL
        message = NextDue(
            earlier(writer.starts.next_due(), writer.series.next_due(steady)),
            is_exact=True,
            wall_ms=earlier(writer.starts.next_due(by_wall_clock=True), writer.series.next_due(wall)),
        )
        self._delivery.next_due(ledger.effects, message)

    def expire(self, ledger: Ledger, request: ExpireDue) -> None:
        """Expire what is past its deadline, a step; another one where more may be."""
        if expiring.sweep(ledger):
            ledger.effects.messages.append(lambda: self._mailbox.tell(request))

    def sample(self, ledger: Ledger, request: SampleProgress) -> None:
        """Write and tell the progress that has changed."""
        del request
        write_sample(ledger, self._delivery.board)

    # Limits and pauses

    def refresh_limits(self, ledger: Ledger, request: RefreshLimits) -> None:
        """Tasks with limits of their own have been added."""
        del request
        tuning.refresh(ledger, self._code_limits())

    def tune(self, ledger: Ledger, request: Tune) -> None:
        """Set a value at run time."""
        tuning.tune(ledger, self._code_limits(), request.kind, request.name, request.value)
        ledger.effects.answer(request.reply, None)

    def end_pauses(self, ledger: Ledger, request: EndPauses) -> None:
        """End the pauses whose time has come."""
        if self._pause_timer.is_of(request.timer):
            self._pause_timer.is_over()
            next_end_ms = pausing.end_due(ledger)
            if next_end_ms is not None:
                ledger.effects.note_pause_end(next_end_ms)

    def set_pause_timer(self, effects: Effects) -> None:
        """After the commit of a pause that ends by itself."""
        if effects.pause_end_ms is None:
            return
        timer = self._pause_timer.set(effects.pause_end_ms, self._times.wall_ms())
        if timer is not None:
            self._delivery.timer(timer.delay_s, self._mailbox, EndPauses(timer.number))

    def resume_preempted(self, ledger: Ledger, request: ResumePreempted) -> None:
        """Nothing is in the way of preempted tasks."""
        del request
        pausing.resume_preempted(ledger)
