"""Pausing the scheduler, a domain or a group, and resuming: what callers see, and what is kept over restarts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hand_clock import HandClock
from staging import WAIT_S, Stage, calm_down, kinds

from millrace import CommitUnknown, Context, Domain, DomainPaused, DomainResumed, InvalidTask, TaskStatus
from millrace.store.session import Session

HOUR = timedelta(hours=1)


def now() -> datetime:
    """The time by the wall clock."""
    return datetime.now(UTC)


@pytest.fixture
def body(domain: Domain) -> Any:
    """A task that returns its payload."""

    @domain.task()
    def body(ctx: Context, n: int) -> int:
        return n

    return body


def test_nothing_starts_while_the_scheduler_is_paused(any_stage: Stage, domain: Domain, body: Any) -> None:
    """S-109: what is submitted meanwhile stays PENDING; S-116: its outcome tells of no group's pause."""
    scheduler = any_stage.started(domain)
    scheduler.pause()
    first = scheduler.submit(body, 1)
    assert not first.group_paused
    calm_down(scheduler)
    assert scheduler.task(first.id).status is TaskStatus.PENDING
    assert scheduler.count(status=TaskStatus.PAUSED) == 0


def test_pauses_are_kept_over_restarts(stage: Stage, domain: Domain, body: Any) -> None:
    """S-113: the pause is the store's, not the process's."""
    before = stage.started(domain)
    before.pause()
    outcome = before.submit(body, 1)
    before.stop(0)
    after = stage.started(domain)
    after.submit(body, 2)
    calm_down(after)
    assert after.task(outcome.id).status is TaskStatus.PENDING
    assert after.resume() == 2


def test_a_pause_before_the_start_holds_from_the_start(stage: Stage, domain: Domain, body: Any) -> None:
    """S-114: a pause says how many tasks it newly holds, a resume how many nothing holds any more; repeated, 0."""
    scheduler = stage.scheduler(domain)
    outcomes = [scheduler.submit(body, n) for n in range(3)]
    assert [scheduler.pause(), scheduler.pause()] == [3, 0]
    scheduler.start()
    calm_down(scheduler)
    assert {scheduler.task(one.id).status for one in outcomes} == {TaskStatus.PENDING}
    assert [scheduler.resume(), scheduler.resume()] == [3, 0]


def test_a_pause_whose_commit_is_in_doubt_is_looked_up(
    stage: Stage, domain: Domain, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-113: where the disk fails inside a commit that was one, flags and tasks still agree from the next one on."""
    scheduler = stage.started(domain)
    scheduler.submit(body, 1).wait(WAIT_S)
    commit = Session.commit

    def commit_and_fail(session: Session) -> None:
        monkeypatch.setattr(Session, "commit", commit)
        commit(session)
        raise CommitUnknown("the disk failed inside the commit")

    monkeypatch.setattr(Session, "commit", commit_and_fail)
    with pytest.raises(CommitUnknown):
        scheduler.pause_group("a")
    outcome = scheduler.submit(body.options(group="a"), 2)
    assert outcome.group_paused
    calm_down(scheduler)
    assert scheduler.task(outcome.id).status is TaskStatus.PAUSED
    assert scheduler.resume_group("a") == 1
    assert outcome.result(WAIT_S) == 2


def test_pauses_are_told_on_change_only(stage: Stage, domain: Domain) -> None:
    """S-120, S-328: a second pause, or a resume of what is not paused, is no change."""
    scheduler = stage.started(domain)
    subscription = scheduler.subscribe()
    for _ in range(2):
        scheduler.pause()
        scheduler.pause_group("a")
    for _ in range(2):
        scheduler.resume_group("a")
        scheduler.resume()
    told = [subscription.get(WAIT_S) for _ in range(4)]
    scheduler.stop()
    assert kinds([*told, *subscription]) == ["SchedulerPaused", "GroupPaused", "GroupResumed", "SchedulerResumed"]
    assert told[1].group == "a"  # type: ignore[attr-defined]


def test_a_paused_domain_shows_it(stage: Stage, domain: Domain, body: Any) -> None:
    """S-110, S-450, S-393: its queued tasks are PAUSED, also over a restart, and no other domain's."""
    other = Domain("other")

    @other.task()
    def free(ctx: Context) -> int:
        return 1

    before = stage.started(domain, other)
    subscription = before.subscribe(kinds=[DomainPaused, DomainResumed])
    handle = before.domain("play")
    assert [handle.pause(), handle.pause()] == [0, 0]
    assert (handle.is_paused, before.domain("other").is_paused) == (True, False)
    outcome = before.submit(body, 1)
    assert not outcome.group_paused
    assert before.submit(free).result(WAIT_S) == 1
    calm_down(before)
    assert before.task(outcome.id).status is TaskStatus.PAUSED
    assert handle.tasks(status=TaskStatus.PAUSED) == [before.task(outcome.id)]
    before.stop(0)
    assert [(type(event), event.domain) for event in subscription] == [(DomainPaused, "play")]  # type: ignore[attr-defined]
    after = stage.scheduler(domain, other)
    assert after.domain("play").is_paused
    assert after.task(outcome.id).status is TaskStatus.PAUSED
    subscription = after.subscribe(kinds=[DomainPaused, DomainResumed])
    assert [after.domain("play").resume(), after.domain("play").resume()] == [1, 0]
    assert not after.domain("play").is_paused
    assert after.task(outcome.id).status is TaskStatus.PENDING
    assert subscription.get(WAIT_S).domain == "play"  # type: ignore[attr-defined]


def test_a_group_pause_needs_a_name_and_a_time_to_come(stage: Stage, domain: Domain) -> None:
    """S-115, S-259: what is not as said is refused before anything is written."""
    scheduler = stage.started(domain)
    for group in ("", "g" * 257):
        with pytest.raises(InvalidTask, match="1 to 256"):
            scheduler.pause_group(group)
    with pytest.raises(ValueError, match="time zone"):
        scheduler.pause_group("a", until=now().replace(tzinfo=None))
    with pytest.raises(ValueError, match="time to come"):
        scheduler.pause_group("a", until=now() - timedelta(seconds=1))


def test_a_timed_pause_ends_by_itself(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-115: also under a pause of the scheduler, and told like one that a call ends."""
    scheduler = stage.started(domain)
    subscription = scheduler.subscribe()
    scheduler.pause()
    scheduler.pause_group("a", until=clock.now() + 2 * HOUR)
    scheduler.pause_group("a", until=clock.now() + HOUR)
    clock.let_pass(HOUR.total_seconds(), scheduler)
    told = [subscription.get(WAIT_S) for _ in range(3)]
    assert kinds(told) == ["SchedulerPaused", "GroupPaused", "GroupResumed"]


def test_a_timed_pause_that_is_given_no_end_stays(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-115: pausing again sets the new deadline, or none."""
    scheduler = stage.started(domain)
    subscription = scheduler.subscribe()
    scheduler.pause_group("a", until=clock.now() + HOUR)
    scheduler.pause_group("a")
    clock.let_pass(HOUR.total_seconds(), scheduler)
    scheduler.pause_group("b", until=clock.now() + HOUR)
    clock.let_pass(HOUR.total_seconds(), scheduler)
    told = [subscription.get(WAIT_S) for _ in range(3)]
    assert kinds(told) == ["GroupPaused", "GroupPaused", "GroupResumed"]
    assert told[2].group == "b"  # type: ignore[attr-defined]


def test_a_timed_pause_ends_over_a_restart(stage: Stage, domain: Domain, clock: HandClock) -> None:
    """S-115: its end is in the store; one that passed while nothing ran is over at the start."""
    before = stage.started(domain)
    before.pause_group("past", until=clock.now() + HOUR)
    before.pause_group("soon", until=clock.now() + 3 * HOUR)
    before.stop(0)
    clock.pass_by(2 * HOUR.total_seconds())
    after = stage.scheduler(domain)
    subscription = after.subscribe()
    after.start()
    told = [subscription.get(WAIT_S)]
    clock.let_pass(HOUR.total_seconds(), after)
    told.append(subscription.get(WAIT_S))
    assert [event.group for event in told] == ["past", "soon"]  # type: ignore[attr-defined]
    assert kinds(told) == ["GroupResumed", "GroupResumed"]
