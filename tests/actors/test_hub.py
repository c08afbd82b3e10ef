"""Subscribers' feeds: bounded, in order, and never silently short."""

import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.hub import Feed, Hub
from millrace.model.events import BatchSubmitted, Completed, Event, Submitted, TaskEvent

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(number: int) -> BatchSubmitted:
    return BatchSubmitted(at=NOW, inserted=number)


def numbers(feed: Feed) -> list[int]:
    """What is in the feed."""
    found = []
    while (one := feed.get(0.0)) is not None:
        assert isinstance(one, BatchSubmitted)
        found.append(one.inserted)
    return found


def waiting(feed: Feed) -> int:
    """How many readers wait: the condition's own list of them."""
    return len(feed._changed._waiters)  # type: ignore[attr-defined]


@given(st.lists(st.lists(st.integers(0, 99), max_size=12), max_size=8), st.integers(1, 10))
def test_a_feed_keeps_the_newest_and_counts_the_others(batches: list[list[int]], maxsize: int) -> None:
    """Of what it accepts, in order; kept and missed are all of it."""
    feed = Feed(lambda one: isinstance(one, BatchSubmitted) and one.inserted % 2 == 0, maxsize)
    told = [number for batch in batches for number in batch if number % 2 == 0]
    dropped = sum(feed.put([event(number) for number in batch]) for batch in batches)
    assert numbers(feed) == told[-maxsize:]
    assert feed.missed == dropped == max(0, len(told) - maxsize)


def test_a_reader_may_leave_off_in_the_middle() -> None:
    """What was told together is not taken together: the rest is there for whoever reads on, and counts for the bound."""
    feed = Feed(None, 4)
    feed.put([event(n) for n in range(4)])
    assert next(iter(feed)) == event(0)
    assert feed.get(0.0) == event(1)
    assert feed.put([event(n) for n in range(4, 9)]) == 3
    assert (numbers(feed), feed.missed) == ([5, 6, 7, 8], 3)


def test_a_closed_feed_is_read_out() -> None:
    """What came before the close can still be read; what comes after is not taken."""
    feed = Feed(lambda one: True, 10)
    feed.put([event(1), event(2)])
    feed.close()
    feed.put([event(3)])
    assert not feed.is_over
    assert numbers(feed) == [1, 2]
    assert feed.is_over
    assert feed.get(None) is None


def test_a_hub_tells_everybody_who_listens() -> None:
    """From being added to being removed; one slow reader costs the others nothing, and is counted."""
    hub = Hub()
    assert not hub.is_heard
    quick, slow = Feed(lambda one: True, 10), Feed(lambda one: True, 1)
    hub.publish([event(0)])
    hub.add(quick)
    hub.add(slow)
    assert hub.is_heard
    hub.publish([event(1), event(2)])
    hub.remove(slow)
    hub.publish([event(3)])
    assert (numbers(quick), numbers(slow), hub.dropped) == ([1, 2, 3], [2], 1)
    hub.close()
    assert not hub.is_heard
    assert quick.is_over


def test_each_of_several_readers_is_woken() -> None:
    """As many events as come at once wake as many readers."""
    feed = Feed(lambda one: True, 10)
    found: list[Event | None] = []
    readers = [threading.Thread(target=lambda: found.append(feed.get(60.0)), daemon=True) for _ in range(3)]
    for reader in readers:
        reader.start()
    while waiting(feed) < 3:
        pass
    feed.put([event(n) for n in range(3)])
    for reader in readers:
        reader.join(10.0)
    assert len(found) == 3
    assert None not in found


def test_a_reader_that_has_been_woken_is_not_woken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take long until it runs, and whoever tells meanwhile takes no lock for it."""
    feed = Feed(None, 10)
    found: list[Event | None] = []
    reader = threading.Thread(target=lambda: found.append(feed.get(60.0)), daemon=True)
    reader.start()
    while not waiting(feed):
        pass
    wake, woken = feed._changed.notify_all, []
    monkeypatch.setattr(feed._changed, "notify_all", lambda: woken.append(True))  # it does not run yet
    feed.put([event(1)])
    feed.put([event(2)])
    assert woken == [True]
    with feed._changed:
        wake()
    reader.join(10.0)
    assert (found, numbers(feed)) == ([event(1)], [2])


def test_a_reader_that_was_woken_for_nothing_is_woken_again() -> None:
    """Another has taken what there was: it waits on, and the next event wakes it."""
    feed = Feed(None, 10)
    found: list[Event | None] = []
    readers = [threading.Thread(target=lambda: found.append(feed.get(60.0)), daemon=True) for _ in range(2)]
    for reader in readers:
        reader.start()
    while waiting(feed) < 2:
        pass
    feed.put([event(1)])
    while not found or not waiting(feed):
        pass
    feed.put([event(2)])
    for reader in readers:
        reader.join(10.0)
    assert found == [event(1), event(2)]


def test_nothing_is_lost_between_threads_that_tell_and_that_read() -> None:
    """Nobody takes a lock where nobody waits: what is told while a reader is about to wait finds it all the same."""
    feed, count = Feed(None, 100_000), 3_000
    found: list[list[int]] = [[], []]

    def tell(first: int) -> None:
        for number in range(first, first + count):
            feed.put([event(number)])

    def read(mine: list[int]) -> None:
        mine += [one.inserted for one in feed if isinstance(one, BatchSubmitted)]

    readers = [threading.Thread(target=read, args=(mine,)) for mine in found]
    tellers = [threading.Thread(target=tell, args=(first,)) for first in (0, count)]
    for thread in (*readers, *tellers):
        thread.start()
    for thread in tellers:
        thread.join(10.0)
    feed.close()
    for thread in readers:
        thread.join(10.0)
    assert sorted(found[0] + found[1]) == list(range(2 * count))
    for mine in found:
        for first in (0, count):
            own = [number for number in mine if first <= number < first + count]
            assert own == sorted(own), "in the order in which they were told"


def test_what_nobody_wants_is_known() -> None:
    """By class, base classes included, and as feeds come and go: what nobody wants need not be made."""
    hub = Hub()
    assert not hub.hears(BatchSubmitted)
    tasks = Feed(None, 10, (TaskEvent,))
    hub.add(tasks)
    assert [hub.hears(kind) for kind in (BatchSubmitted, Submitted, Completed)] == [False, True, True]
    ends = Feed(None, 10, (Completed,))
    hub.add(ends)
    hub.remove(tasks)
    assert [hub.hears(kind) for kind in (BatchSubmitted, Submitted, Completed)] == [False, False, True]
    hub.add(Feed(None, 10))
    assert hub.hears(BatchSubmitted)
    hub.close()
    assert not hub.hears(Completed)
