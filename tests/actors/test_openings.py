"""Places lent: who may take them, when, and what the dispatcher learns of it."""

from millrace.actors.openings import MOST_NEWS, Openings
from millrace.model.lanes import make_lane
from millrace.model.rows import Ready

LANE = make_lane("play::body", None, None, 128)


ENDED = [(5, 0.001), (6, 0.002)]


def ready(task_id: int) -> Ready:
    return Ready(128, 1, task_id, 0, LANE)


def opened(room: int, ahead: int = 0) -> Openings:
    openings = Openings()
    openings.open(room, ahead, openings.begin())
    return openings


def test_closed_at_first() -> None:
    """Nobody has said yet that nothing waits."""
    openings = Openings()
    assert (openings.is_open, openings.take(1, ENDED[:1])) == (False, 0)


def test_no_more_than_there_are() -> None:
    """What ends in the same transaction makes room for what starts in it."""
    openings = opened(2)
    assert openings.take(3, []) == 2
    assert openings.take(1, []) == 0
    assert openings.take(3, ENDED) == 2


def test_starts_ahead_of_the_slots_make_room_when_they_end() -> None:
    """Fewer than none may be free: the first ends free no place."""
    openings = opened(-1)
    assert openings.take(1, ENDED[:1]) == 0
    openings.record([(1, 0.5)], [])
    assert openings.take(1, ENDED[:1]) == 1


def test_starts_ahead_of_the_slots() -> None:
    """As many as the dispatcher allows, until a body has taken longer than those for which it does."""
    openings = opened(1, ahead=3)
    assert openings.take(2, []) == 2
    assert openings.take(9, ENDED[:1]) == 3
    openings.record(ENDED[:1], [])
    assert openings.take(1, [(7, 1.0)]) == 0
    openings.record([(7, 1.0)], [])
    assert openings.take(1, ENDED[:1]) == 0


def test_starts_ahead_of_the_slots_are_watched() -> None:
    """The dispatcher is told of the first, and not of those that follow while it watches."""
    openings = opened(1, ahead=5)
    openings.take(1, [])
    assert not openings.record([], [ready(7)])
    openings.take(1, [])
    assert openings.record([], [ready(8)])
    openings.close()
    openings.open(-1, 5, 0)
    openings.take(1, [])
    assert not openings.record([], [ready(9)])


def test_nobody_passes_a_start_that_was_asked_for() -> None:
    """Until it has begun."""
    openings = opened(5)
    openings.claiming()
    openings.claiming()
    assert openings.take(1, []) == 0
    openings.claimed(1)
    assert openings.take(1, []) == 0
    openings.claimed(1)
    assert openings.take(1, []) == 1


def test_a_transaction_rolled_back() -> None:
    """Its places are free for the next."""
    openings = opened(1)
    assert openings.take(1, []) == 1
    assert not openings.give_back(1)
    assert openings.take(1, []) == 1
    assert openings.close() == ([], 1)
    assert openings.give_back(1)  # the dispatcher has counted with it
    assert openings.close() == ([], 0)
    openings.open(1, 0, 0)
    assert openings.take(1, []) == 1


def test_the_dispatcher_learns_in_order() -> None:
    """A task may end and start again between two looks."""
    openings = opened(1)
    openings.take(1, [])
    assert not openings.record([], [ready(7)])
    openings.take(1, ENDED[:1])
    assert not openings.record([(7, 0.5)], [ready(7)])
    assert openings.close() == ([ready(7), (7, 0.5), ready(7)], 0)
    assert openings.close() == ([], 0)


def test_a_start_under_way_takes_its_place() -> None:
    """Taken, and not committed: the dispatcher counts with it, and has to be told."""
    openings = opened(2)
    openings.take(1, [])
    assert openings.close() == ([], 1)
    assert openings.take(1, []) == 0
    assert openings.record([], [ready(7)])
    assert openings.close() == ([ready(7)], 0)


def test_who_waits_comes_first() -> None:
    """Once the dispatcher has to hear of tasks, nobody passes them: not before it has heard."""
    openings = opened(5)
    number = openings.note_ready()
    assert not openings.is_open
    openings.open(5, 0, number - 1)
    assert openings.take(1, []) == 0
    openings.open(5, 0, number)
    assert openings.take(1, []) == 1


def test_news_do_not_pile_up() -> None:
    """The dispatcher is told of so many."""
    openings = opened(1)
    found = [openings.record([(number, 0.5)], []) for number in range(MOST_NEWS)]
    assert found == [False] * (MOST_NEWS - 1) + [True]


def test_a_new_dispatcher() -> None:
    """It reads from the executor what runs; a start under way it hears of like any other."""
    openings = opened(3)
    openings.take(2, [])
    openings.record([], [ready(7)])
    openings.begin()
    assert openings.close() == ([], 1)


def test_a_new_persistence_actor() -> None:
    """What the last one had taken came to nothing."""
    openings = opened(3)
    openings.take(2, [])
    openings.reset()
    assert (openings.is_open, openings.close()) == (False, ([], 0))


def test_what_changes_the_count_shuts() -> None:
    """Limits, say: the dispatcher has to count anew first."""
    openings = opened(3)
    openings.shut()
    assert openings.take(1, []) == 0
