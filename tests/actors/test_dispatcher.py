"""The dispatcher, driven by hand: what it claims, holds back and frees."""

from typing import Any

import pytest

from millrace.actors.clock import Arm
from millrace.actors.dispatcher import Dispatcher
from millrace.actors.dispatches import (
    ClaimsLost,
    HooksDue,
    Interrupted,
    LanesFound,
    Lent,
    LookForNews,
    PageLoaded,
    ReadAnew,
    Reclaimed,
    RunOverdue,
    RunsEnded,
    SetDispatching,
    SetLimits,
    StopOverdue,
    TasksPreempted,
    TasksReady,
    ThreadEnded,
)
from millrace.actors.mailbox import Mailbox, Reply
from millrace.actors.openings import Openings
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.lines import START
from millrace.actors.requests import ClaimHooks, ClaimTasks, FindLanes, GiveUpRetry, PutBack, Refill
from millrace.actors.settings import DispatchSettings
from millrace.actors.tally import Tally
from millrace.executors.run import Run
from millrace.model.lanes import Lane, make_lane
from millrace.model.limits import RateLimit
from millrace.model.outcomes import RunKind, RunOutcome
from millrace.model.rows import Claim, Phase, Ready


def claim(task_id: int, *, phase: Phase = Phase.BODY, crashes: int = 0, run: int = 1) -> Claim:
    values: dict[str, Any] = dict.fromkeys(Claim.__struct_fields__, 0)
    values |= {
        "id": task_id,
        "run": run,
        "phase": int(phase),
        "crashes": crashes,
        "name": "play::body",
        "priority": 128,
        "options": None,
        "grp": None,
        "effective": None,
        "expected_io": None,
    }
    return Claim(**values)


class Ears:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def tell(self, message: Any) -> None:
        self.heard.append(message)

    def take(self, kind: type) -> list[Any]:
        """What was heard of a kind; forgotten now."""
        found = [message for message in self.heard if isinstance(message, kind)]
        self.heard = [message for message in self.heard if not isinstance(message, kind)]
        return found


class FakeExecutors:
    """Runs that the test begins and ends."""

    def __init__(self) -> None:
        self.bodies: dict[int, Run] = {}
        self.hooks: dict[int, Run] = {}
        self.given_up: list[Run] = []
        self.held_back: list[Run] = []
        self.waiting: list[Claim] = []
        self.asked: list[tuple[int, str]] = []
        self.slots = 0
        self.is_in_turn = False

    def begin_in_turn(self, *, is_on: bool) -> None:
        self.is_in_turn = is_on

    def begin(self, *claims: Claim) -> None:
        for one in claims:
            (self.hooks if one.phase == Phase.HOOK else self.bodies)[one.id] = Run(one)

    def resize(self, slots: int) -> None:
        self.slots = slots

    def runs(self) -> list[Run]:
        return list(self.bodies.values())

    def hook_runs(self) -> list[Run]:
        return list(self.hooks.values())

    def abandoned(self) -> list[Run]:
        return self.given_up

    def run_of(self, task_id: int) -> Run | None:
        return self.bodies.get(task_id) or self.hooks.get(task_id)

    def is_running(self, task_id: int, run: int) -> bool:
        return self.run_of(task_id) is not None

    def timeout_left_s(self, run: Run) -> float | None:
        return None

    def hook_timeout_s(self, task_id: int, run: int) -> float | None:
        return 3.0 if task_id in self.hooks else None

    def abandoned_timeout_s(self, task_id: int, run: int) -> float | None:
        return next((2.0 for one in self.given_up if one.claim.id == task_id and one.asked == "timeout"), None)

    def withdraw(self) -> list[Claim]:
        taken, self.waiting = self.waiting, []
        for one in taken:
            del self.bodies[one.id]
        return taken

    def is_held_back(self, run: Run) -> bool:
        return run in self.held_back

    def withdraw_one(self, task_id: int, run: int) -> bool:
        for held in self.held_back:
            if (held.claim.id, held.claim.run) == (task_id, run):
                self.held_back.remove(held)
                del self.bodies[task_id]
                return True
        return False

    def interrupt(self, task_id: int, run: int, reason: Any) -> bool:
        self.asked.append((task_id, reason))
        return task_id in self.bodies

    def interrupt_overdue(self, task_id: int, run: int) -> float | None:
        found = self.bodies.get(task_id)
        if found is None:
            return None
        found.ask("timeout")
        return 2.0

    def abandon(self, task_id: int, run: int, why: str) -> RunOutcome | None:
        found = self.bodies.pop(task_id, None) or self.hooks.pop(task_id, None)
        if found is None:
            return None
        self.given_up.append(found)
        return RunOutcome(task_id, run, found.claim.phase, "play::body", RunKind.FAILED, error=why, abandoned=True)


class StandingTimes:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def steady_ms(self) -> int:
        return round(self.now * 1000)

    def wall_ms(self) -> int:
        return round(self.now * 1000)


class Stage:
    def __init__(self, slots: int, executors: FakeExecutors | None = None, *, are_lanes_there: bool = True) -> None:
        self.times = StandingTimes()
        self.tally = Tally(self.times.monotonic)
        self.persistence, self.clock = Ears(), Ears()
        self.executors = executors or FakeExecutors()
        self.openings = Openings()
        self.dispatcher = Dispatcher(
            Mailbox("dispatcher"),
            None,  # type: ignore[arg-type]  # nothing drives it but the test
            lambda actor, error: None,
            persistence=self.persistence,
            clock=self.clock,
            executors=self.executors,  # type: ignore[arg-type]  # as much of them as it uses
            openings=self.openings,
            times=self.times,
            tally=self.tally,
            limits=Limits(slots),
            settings=DispatchSettings(cancel_timeout_s=30.0, max_crashes=3),
            is_dispatching=True,
        )
        self.dispatcher.on_start()
        (asked,) = [message for message in self.persistence.heard if isinstance(message, FindLanes)]
        self.sign = asked.by
        if are_lanes_there:
            self.find()

    def tell(self, *messages: Any) -> None:
        self.dispatcher.receive(messages)

    def ready(self, *ids: int, crashes: int = 0, priority: int = 128) -> None:
        self.tell(
            TasksReady(
                tuple(
                    Ready(priority, 1, task_id, crashes, make_lane("play::body", None, None, priority))
                    for task_id in ids
                )
            )
        )

    def find(self, lanes: tuple[Lane, ...] = (), after: int | None = None) -> None:
        """The answer to its question for lanes."""
        self.tell(LanesFound(lanes, after, self.sign))

    def claimed(self) -> list[int]:
        """What was claimed since the last look."""
        return [task_id for request in self.persistence.take(ClaimTasks) for task_id in request.ids]

    def begin(self, *ids: int, crashes: int = 0) -> None:
        """Claims that were committed."""
        self.executors.begin(*(claim(task_id, crashes=crashes) for task_id in ids))

    def end(self, *ids: int, seconds: float = 1.0) -> None:
        """Runs that are over."""
        for task_id in ids:
            self.executors.bodies.pop(task_id, None)
        self.tell(RunsEnded(tuple((task_id, seconds) for task_id in ids)))


def test_what_another_dispatcher_has_asked_for_is_no_answer() -> None:
    """S-374: its own answer comes behind what that one has claimed, which may begin until then, and is not to be claimed again."""
    stage = Stage(1, are_lanes_there=False)
    stage.ready(1)
    stage.tell(LanesFound((), None, object()))
    (page,) = [page for refill in stage.persistence.take(Refill) for page in refill.pages]
    stage.tell(PageLoaded(page.lane, (Ready(128, 1, 1, 0, page.lane),), page.after, page.limit))
    assert stage.claimed() == []
    stage.find()
    assert stage.claimed() == [1]


def test_it_asks_for_lanes_and_then_for_their_pages() -> None:
    """Nothing starts before all lanes are known, and none before the first page of a lane that may be more urgent."""
    stage = Stage(1, are_lanes_there=False)
    assert [request.after for request in stage.persistence.take(FindLanes)] == [0]
    urgent, usual = make_lane("play::body", None, None, 7), make_lane("play::body", None, None, 128)
    stage.ready(1)
    stage.find((usual,), usual.number)
    assert stage.claimed() == []
    assert [request.after for request in stage.persistence.take(FindLanes)] == [usual.number]
    stage.find((urgent,))
    (first, second) = [page for refill in stage.persistence.take(Refill) for page in refill.pages]
    assert {first.lane, second.lane} == {urgent, usual}
    stage.tell(PageLoaded(usual, (Ready(128, 1, 1, 0, usual),), START, first.limit))
    assert stage.claimed() == []
    stage.tell(PageLoaded(urgent, (Ready(7, 1, 9, 0, urgent),), START, first.limit))
    assert stage.claimed() == [9]
    stage.end(9)
    assert stage.claimed() == [1]


def test_it_claims_as_many_as_there_are_slots() -> None:
    """In the order of starts; the next when one has ended, or was lost."""
    stage = Stage(2)
    stage.ready(1, 2, 3, 4)
    assert stage.claimed() == [1, 2]
    stage.end(1)
    assert stage.claimed() == [3]
    stage.tell(ClaimsLost((2,)))
    assert stage.claimed() == [4]


class Watched(Stage):
    """Counts why ready work does not start."""

    def reasons_after(self, seconds: float) -> dict[str, float]:
        """What was counted in this time by reason; forgotten now."""
        before = self._blocked()
        self.times.now += seconds
        after = self._blocked()
        return {
            reason: after[reason] - before.get(reason, 0.0) for reason in after if after[reason] != before.get(reason)
        }

    def _blocked(self) -> dict[str, float]:
        counts = self.tally.counts()
        return {value: count for (counter, _, value), count in counts.items() if counter == "dispatch_blocked_seconds"}

    def enter(self, *lanes: tuple[int, str, str | None]) -> None:
        """Tasks of these ids, names and groups are ready."""
        made = [(task_id, make_lane(name, group, None, 128)) for task_id, name, group in lanes]
        self.tell(TasksReady(tuple(Ready(128, 1, task_id, 0, lane) for task_id, lane in made)))


def test_it_counts_how_long_slots_hold_up_what_is_ready() -> None:
    """metrics.md: "concurrency", from the task that finds no slot until it has one, and not while nothing waits."""
    stage = Watched(1)
    stage.ready(1)
    assert stage.reasons_after(2.0) == {}
    stage.ready(2)
    assert stage.reasons_after(3.0) == {"concurrency": 3.0}
    assert stage.reasons_after(4.0) == {"concurrency": 4.0}
    stage.end(1)
    assert stage.reasons_after(5.0) == {}


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(8, groups={"g": 1}), "group"),
        (Limits(8, domains={"play": 1}), "domain"),
        (Limits(8, task_rates={"play::body": RateLimit(0.001, 1)}), "rate"),
        (Limits(8, group_rates={"g": RateLimit(0.001, 1)}), "rate"),
    ],
)
def test_it_counts_how_long_each_limit_holds_up_what_is_ready(limits: Limits, reason: str) -> None:
    """metrics.md: also where the line that was looked at has nothing more and another waits for the same."""
    stage = Watched(8)
    stage.tell(SetLimits(limits))
    stage.enter(
        (1, "play::body", "g"), (2, "play::body", "g"), (3, "play::body" if reason == "rate" else "play::b", "g")
    )
    assert stage.claimed() == [1]
    assert stage.reasons_after(1.0) == {reason: 1.0}
    stage.end(1)
    assert stage.claimed() == ([] if reason == "rate" else [2])
    assert stage.reasons_after(1.0) == {reason: 1.0}
    stage.tell(SetLimits(Limits(8)))
    assert stage.reasons_after(1.0) == {}


def test_it_counts_pauses() -> None:
    """metrics.md: of everything, and of a group."""
    stage = Watched(8)
    stage.tell(SetLimits(Limits(8, is_paused=True)))
    assert stage.reasons_after(1.0) == {}
    stage.enter((1, "play::body", "g"))
    assert stage.reasons_after(1.0) == {"paused": 1.0}
    stage.tell(SetLimits(Limits(8, paused_groups=frozenset({"g"}))))
    stage.enter((1, "play::body", "g"))
    assert stage.reasons_after(1.0) == {"paused": 1.0}
    stage.tell(SetDispatching(False))
    assert stage.reasons_after(1.0) == {}


def test_it_counts_starts_that_rates_put_off() -> None:
    """metrics.md: by what the rate is of."""
    stage = Watched(8)
    rates = {"play::a": RateLimit(1, 1), "play::b": RateLimit(1, 1)}
    stage.tell(SetLimits(Limits(8, task_rates=rates, group_rates={"g": RateLimit(1, 1)})))
    stage.enter((1, "play::a", None), (2, "play::b", None), (3, "play::c", "g"))
    assert not any(counter == "rate_limited" for counter, _, _ in stage.tally.counts())
    stage.enter((4, "play::a", None), (5, "play::b", None), (6, "play::c", "g"))
    counts = stage.tally.counts()
    assert (counts["rate_limited", "", "task"], counts["rate_limited", "", "group"]) == (2, 1)


def test_it_wakes_up_for_a_token_and_only_then() -> None:
    """S-264, S-081: by itself, when it comes, and not at all where nobody waits for one, or nothing is started."""
    stage = Watched(8)
    stage.tell(SetLimits(Limits(8, task_rates={"play::body": RateLimit(1, 1)})))
    stage.ready(1)
    assert (stage.claimed(), stage.dispatcher.wake_in()) == ([1], None)
    stage.ready(2)
    assert (stage.claimed(), stage.dispatcher.wake_in()) == ([], 1.0)
    stage.times.now += 0.25
    assert stage.dispatcher.wake_in() == 0.75
    stage.tell(SetDispatching(False))
    assert stage.dispatcher.wake_in() is None
    stage.tell(SetDispatching(True))
    stage.times.now += 0.75
    assert stage.dispatcher.wake_in() == 0.0
    stage.dispatcher.wake()
    assert (stage.claimed(), stage.dispatcher.wake_in()) == ([2], None)
    assert stage.clock.take(Arm) == []


def test_it_counts_what_waits_for_a_suspect() -> None:
    """S-361: tasks one crash short start one at a time, which is a limit too."""
    stage = Watched(8)
    stage.ready(1, 2, crashes=2)
    assert stage.claimed() == [1]
    assert stage.reasons_after(1.0) == {"concurrency": 1.0}
    stage.end(1)
    assert stage.reasons_after(1.0) == {}


def test_a_change_of_slots_counts_at_once() -> None:
    """More are claimed; after fewer, none until there are fewer runs. The executors hear of it."""
    stage = Stage(1)
    stage.ready(*range(1, 9))
    assert stage.claimed() == [1]
    stage.tell(SetLimits(Limits(3)))
    assert (stage.claimed(), stage.executors.slots) == ([2, 3], 3)
    stage.tell(SetLimits(Limits(1)))
    stage.end(1, 2)
    assert stage.claimed() == []
    stage.end(3)
    assert stage.claimed() == [4]


def test_with_shares_claims_begin_in_turn() -> None:
    """S-280: while a weight is set, a change of weights included."""
    stage = Stage(1)
    assert not stage.executors.is_in_turn
    stage.tell(SetLimits(Limits(1, weights={"g": 2})))
    assert stage.executors.is_in_turn
    stage.tell(SetLimits(Limits(1, weights={"g": 3})))
    assert stage.executors.is_in_turn
    stage.tell(SetLimits(Limits(2)))
    assert not stage.executors.is_in_turn


def test_what_is_recalled_starts_before_what_comes_after_it() -> None:
    """S-075: starts made ahead go back where a body turns out to be long; nothing overtakes them on their way through the store."""
    stage = Stage(1)
    stage.ready(1)
    stage.begin(*stage.claimed())
    stage.end(1, seconds=0.001)
    stage.ready(*range(2, 20))
    assert stage.claimed() == [2, 3, 4, 5, 6, 7]
    stage.begin(*range(2, 8))
    stage.executors.waiting = [claim(task_id) for task_id in range(3, 8)]
    stage.tell(*[arm.message for arm in stage.clock.take(Arm)])
    assert stage.persistence.take(PutBack) == [PutBack(tuple((task_id, 1) for task_id in range(3, 8)))]
    stage.end(2)
    assert stage.claimed() == [3]
    stage.ready(*range(3, 8))
    stage.end(3)
    assert stage.claimed() == [4]


def test_a_run_that_waits_takes_no_slot() -> None:
    """Its place is somebody else's, until it takes it again over all slots."""
    stage = Stage(1)
    stage.ready(1, 2, 3)
    assert stage.claimed() == [1]
    stage.tell(Lent(1))
    assert stage.claimed() == [2]
    stage.tell(Reclaimed(1))
    stage.end(2)
    assert stage.claimed() == []
    stage.end(1)
    assert stage.claimed() == [3]


def test_tasks_one_crash_short_start_one_at_a_time() -> None:
    """S-365: those with fewer crashes go past them."""
    stage = Stage(4)
    stage.ready(1, 2, crashes=2)
    stage.ready(3, crashes=1)
    assert stage.claimed() == [1, 3]
    stage.end(1)
    assert stage.claimed() == [2]


def test_a_successor_knows_who_is_one_crash_short() -> None:
    """S-365: also after the dispatcher itself failed."""
    executors = FakeExecutors()
    executors.begin(claim(1, crashes=2))
    stage = Stage(4, executors)
    stage.ready(2, crashes=2)
    assert stage.claimed() == []
    stage.end(1)
    assert stage.claimed() == [2]


def test_a_claim_that_a_pause_refuses_is_read_again() -> None:
    """S-112, S-113: the pause came between choice and claim; nobody tells of the task when it is over."""
    stage = Stage(1)
    stage.ready(1)
    assert stage.claimed() == [1]
    stage.tell(SetLimits(Limits(1, is_paused=True)))
    stage.tell(ClaimsLost((1,)))
    stage.tell(SetLimits(Limits(1)))
    lane = make_lane("play::body", None, None, 128)
    page = stage.persistence.take(Refill)[-1].pages[0]
    assert page.lane == lane
    stage.tell(PageLoaded(lane, (Ready(128, 1, 1, 0, lane),), page.after, page.limit))
    assert stage.claimed() == [1]


def test_a_successor_counts_what_was_claimed_just_before_it() -> None:
    """S-374: a claim of the dispatcher before may be committed, and begin, only when its successor is there."""
    stage = Stage(1, are_lanes_there=False)
    stage.begin(1)
    stage.find()
    stage.ready(2)
    assert stage.claimed() == []
    stage.end(1)
    assert stage.claimed() == [2]


def test_a_successor_does_not_count_a_run_whose_end_it_was_told() -> None:
    """S-374, S-257: the executor may have it a moment longer, and nobody would tell its end again."""
    executors = FakeExecutors()
    executors.begin(claim(1))
    stage = Stage(1, executors, are_lanes_there=False)
    stage.tell(RunsEnded(((1, 1.0),)))
    stage.find()
    stage.ready(2)
    assert stage.claimed() == [2]


@pytest.mark.parametrize("phase", [Phase.BODY, Phase.HOOK])
def test_an_ended_run_is_not_taken_over_when_lanes_are_looked_for_again(phase: Phase) -> None:
    """Another program writes at the moment in which a run has ended, and the executor has it still: its place stays free."""
    stage = Stage(1)
    if phase == Phase.HOOK:
        stage.tell(HooksDue((1,)))
    else:
        stage.ready(1)
    stage.persistence.take(ClaimTasks)
    stage.executors.begin(claim(1, phase=phase))
    stage.tell(RunsEnded(((1, 1.0),)), ReadAnew())
    stage.find()
    stage.ready(2)
    stage.tell(HooksDue((3,)))
    assert stage.claimed() == [2]
    assert (3,) in [request.ids for request in stage.persistence.take(ClaimHooks)]


def test_a_successor_counts_hooks_that_were_claimed_just_before_it() -> None:
    """S-374, S-149: the same of a hook, beside which no more run than there are slots."""
    stage = Stage(1, are_lanes_there=False)
    stage.executors.begin(claim(11, phase=Phase.HOOK))
    stage.find()
    stage.tell(HooksDue((12,)))
    assert stage.persistence.take(ClaimHooks) == []
    stage.tell(RunsEnded(((11, 0.1),)))
    assert [request.ids for request in stage.persistence.take(ClaimHooks)] == [(12,)]


def test_a_successor_does_not_count_a_hook_whose_end_it_was_told() -> None:
    """S-374: the executor may have it a moment longer."""
    stage = Stage(1, are_lanes_there=False)
    stage.executors.begin(claim(11, phase=Phase.HOOK))
    stage.tell(RunsEnded(((11, 0.1),)))
    stage.find()
    stage.tell(HooksDue((12,)))
    assert [request.ids for request in stage.persistence.take(ClaimHooks)] == [(12,)]


def test_a_successor_counts_the_runs_under_way() -> None:
    """But for those that have lent their slot; it guards those that were asked to stop anew."""
    executors = FakeExecutors()
    executors.begin(claim(1), claim(2), claim(9, phase=Phase.HOOK))
    executors.bodies[2].waits = 1
    executors.bodies[1].ask("cancelled")
    stage = Stage(2, executors)
    stage.ready(3, 4)
    assert stage.claimed() == [3]
    (guard,) = stage.clock.take(Arm)
    assert (guard.delay_s, guard.message.task_id) == (30.0, 1)


def test_a_successor_takes_back_what_is_held_back() -> None:
    """S-374: the message that would have had it taken back died with the dispatcher before it; its slot is free."""
    executors = FakeExecutors()
    executors.begin(claim(1, run=7), claim(2))
    executors.held_back.append(executors.bodies[1])
    stage = Stage(2, executors)
    assert stage.persistence.take(PutBack) == [PutBack(((1, 7),))]
    stage.ready(3)
    assert stage.claimed() == [3]
    assert list(executors.bodies) == [2]


def test_no_finalizer_makes_room_for_the_urgent() -> None:
    """S-103: nor one that goes on in the slot of its body, of which nothing was told; the next best makes room at once."""
    stage = Stage(2)
    stage.ready(1, priority=200)
    stage.ready(2)
    assert stage.claimed() == [1, 2]
    stage.executors.begin(claim(1, phase=Phase.FINALIZER, run=2), claim(2))
    stage.ready(3, priority=0)
    assert stage.executors.asked == [(2, "preempted")]


def test_a_cancelled_run_is_given_up_after_its_time() -> None:
    """S-147, S-407: its slot is free, its outcome recorded."""
    stage = Stage(1)
    stage.ready(1, 2)
    stage.begin(*stage.claimed())
    stage.tell(Interrupted(((1, 1, "cancelled"),)))
    (guard,) = stage.clock.take(Arm)
    assert guard.delay_s == 30.0
    stage.tell(guard.message)
    (outcome,) = stage.persistence.take(RunOutcome)
    assert outcome.abandoned
    assert stage.claimed() == [2]


def test_a_run_out_of_time_has_a_while_to_stop() -> None:
    """S-407: at most five seconds, then it is given up."""
    stage = Stage(1)
    stage.ready(1)
    stage.begin(*stage.claimed())
    stage.tell(RunOverdue(1, 1))
    (guard,) = stage.clock.take(Arm)
    assert guard.delay_s == 5.0
    stage.tell(guard.message)
    (outcome,) = stage.persistence.take(RunOutcome)
    assert outcome.error == "TimeoutError: timed out after 2 s; its thread did not stop"


def test_no_more_are_given_up_than_there_are_slots() -> None:
    """S-407: the next is looked at again in a while, for as long as it runs."""
    stage = Stage(1)
    stage.begin(1)
    stage.tell(StopOverdue(1, 1, "why"))
    stage.begin(2)
    stage.tell(StopOverdue(2, 1, "why"))
    assert [outcome.task_id for outcome in stage.persistence.take(RunOutcome)] == [1]
    (again,) = stage.clock.take(Arm)
    stage.tell(ThreadEnded(1, 1), again.message)
    assert [outcome.task_id for outcome in stage.persistence.take(RunOutcome)] == [2]


@pytest.mark.parametrize("ends_in_time", [True, False])
def test_a_retry_waits_for_a_thread_that_was_given_up(ends_in_time: bool) -> None:
    """S-408: it starts when that ends; at most its time-out again, then it is given up itself."""
    stage = Stage(2)
    stage.ready(1)
    stage.begin(*stage.claimed())
    stage.tell(RunOverdue(1, 1))
    stage.tell(stage.clock.take(Arm)[0].message)
    stage.ready(1)
    assert stage.claimed() == []
    (timer,) = stage.clock.take(Arm)
    assert timer.delay_s == 2.0
    if ends_in_time:
        stage.tell(ThreadEnded(1, 1))
        assert stage.claimed() == [1]
        stage.tell(timer.message)
        assert stage.persistence.take(GiveUpRetry) == []
    else:
        stage.tell(timer.message)
        (request,) = stage.persistence.take(GiveUpRetry)
        assert request.task_id == 1
        assert "did not stop" in request.why
        stage.tell(ThreadEnded(1, 1))
        # It may have been a rerun, which stays in the queue: the store knows, and refuses the claim of one that is gone.
        assert stage.claimed() == [1]
        stage.tell(ClaimsLost((1,)))
        stage.ready(2, 3)
        assert stage.claimed() == [2, 3]


def test_hooks_run_beside_the_slots() -> None:
    """S-149: as many at once as there are slots, whatever runs in those."""
    stage = Stage(2)
    stage.ready(1, 2, 3)
    assert stage.claimed() == [1, 2]
    stage.tell(HooksDue((11, 12, 13)), HooksDue((11,)))
    assert [request.ids for request in stage.persistence.take(ClaimHooks)] == [(11, 12)]
    stage.tell(RunsEnded(((11, 0.1),)))
    assert [request.ids for request in stage.persistence.take(ClaimHooks)] == [(13,)]
    assert stage.claimed() == []


def test_a_hook_out_of_time_is_given_up_at_once() -> None:
    """S-150: and not started again while its thread goes on."""
    stage = Stage(1)
    stage.tell(HooksDue((11,)))
    stage.executors.begin(claim(11, phase=Phase.HOOK))
    stage.persistence.take(ClaimHooks)
    stage.tell(RunOverdue(11, 1))
    (outcome,) = stage.persistence.take(RunOutcome)
    assert outcome.error == "it did not end within 3 s"
    stage.tell(HooksDue((11, 12)))
    assert [request.ids for request in stage.persistence.take(ClaimHooks)] == [(12,)]


def test_nothing_is_claimed_while_it_does_not_dispatch() -> None:
    """S-375: what becomes ready waits in the window."""
    stage = Stage(2)
    reply: Reply[None] = Reply()
    stage.tell(SetDispatching(False, reply))
    assert reply.is_set
    stage.ready(1, 2)
    stage.tell(HooksDue((3,)))
    assert stage.claimed() == []
    assert stage.persistence.take(ClaimHooks) == []
    assert stage.persistence.take(PutBack) == []
    stage.tell(SetDispatching(True))
    assert stage.claimed() == [1, 2]


# Places lent


def test_while_nothing_waits_the_places_are_lent() -> None:
    """As many as are free; what is ready takes them back, and what has waited starts first."""
    stage = Stage(3)
    assert stage.openings.is_open
    assert stage.openings.take(1, []) == 1
    stage.openings.record([], [Ready(128, 1, 1, 0, make_lane("play::body", None, None, 128))])
    stage.ready(2, 3, 4)
    assert stage.claimed() == [2, 3]
    assert not stage.openings.is_open
    stage.end(1)
    assert stage.claimed() == [4]
    assert stage.openings.take(1, []) == 0
    assert stage.openings.is_open


def test_a_start_under_way_in_a_lent_place_counts() -> None:
    """It is committed a moment later than the dispatcher looks."""
    stage = Stage(2)
    assert stage.openings.take(1, []) == 1
    stage.ready(2, 3)
    assert stage.claimed() == [2]
    assert stage.openings.record([], [Ready(128, 1, 1, 0, make_lane("play::body", None, None, 128))])
    stage.tell(LookForNews())
    assert stage.claimed() == []
    stage.end(1)
    assert stage.claimed() == [3]


def test_nothing_passes_a_claim_on_its_way() -> None:
    """The queue is empty, and the places are lent; but what was chosen has not begun yet."""
    stage = Stage(2)
    stage.ready(1)
    assert stage.claimed() == [1]
    assert stage.openings.is_open
    assert stage.openings.take(1, []) == 0
    stage.openings.claimed(1)
    assert stage.openings.take(1, []) == 1


def test_runs_that_ended_in_lent_places_free_them() -> None:
    """Also those that the dispatcher has started itself."""
    stage = Stage(1)
    stage.ready(1)
    assert stage.claimed() == [1]
    stage.begin(1)
    assert stage.openings.take(1, []) == 0
    stage.executors.bodies.clear()
    stage.openings.record([(1, 0.5)], [])
    stage.ready(2, 3)
    assert stage.claimed() == [2]


@pytest.mark.parametrize(
    "message",
    [
        SetLimits(Limits(1, weights={"g": 2})),
        SetLimits(Limits(1, is_paused=True)),
        SetDispatching(is_on=False),
        TasksPreempted((200,)),
        ReadAnew(),
    ],
    ids=["weights", "pause", "stopping", "preempted", "others"],
)
def test_nothing_is_lent_where_somebody_may_come_before(message: Any) -> None:
    """Fair shares choose; a pause and a stop hold everything; who was preempted goes on first; others may have written."""
    stage = Stage(1)
    stage.begin(50)
    stage.openings.record([], [Ready(0, 1, 50, 0, make_lane("play::body", None, None, 0))])
    stage.tell(message)
    assert not stage.openings.is_open


def test_a_successor_lends_once_it_knows_the_lanes() -> None:
    """And takes over what had started in lent places."""
    executors = FakeExecutors()
    executors.begin(claim(1))
    stage = Stage(1, executors, are_lanes_there=False)
    assert not stage.openings.is_open
    stage.find()
    assert stage.openings.is_open
    assert stage.openings.take(1, []) == 0


def test_a_start_in_a_lent_place_is_taken_back_before_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """It came to the executor after the dispatcher had looked: it takes no slot, and starts when it is ready again."""
    stage = Stage(1)
    task = Ready(128, 1, 9, 0, make_lane("play::body", None, None, 128))

    def withdraw() -> list[Claim]:
        stage.openings.record([], [task])
        return [claim(9)]

    stage.openings.take(1, [])
    monkeypatch.setattr(stage.executors, "withdraw", withdraw)
    stage.tell(SetDispatching(is_on=False))
    assert [request.runs for request in stage.persistence.take(PutBack)] == [((9, 1),)]
    stage.tell(SetDispatching(is_on=True))
    stage.ready(9)
    assert stage.claimed() == [9]
