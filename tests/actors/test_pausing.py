"""The timer of timed pauses: one at a time, of the earliest end, and never set for longer than the wall clock is trusted."""

from millrace.actors.pausing import LOOK_AGAIN_MS, Armed, Timer


def test_a_timer_is_set_for_the_end_of_the_pause() -> None:
    """S-115: in seconds from now; one whose time has come rings at once."""
    assert Timer().set(1_500, 1_000) == Armed(0.5, 1)
    assert Timer().set(900, 1_000) == Armed(0.0, 1)


def test_an_earlier_end_takes_the_place_of_a_later_one() -> None:
    """The ring of the later one is ignored when it comes, and sets no timer of its own."""
    timer = Timer()
    assert timer.set(9_000, 0) == Armed(9.0, 1)
    assert timer.set(10_000, 0) is None
    assert timer.set(9_000, 0) is None
    assert timer.set(3_000, 0) == Armed(3.0, 2)
    assert (timer.is_of(1), timer.is_of(2)) == (False, True)


def test_after_a_ring_the_next_is_set() -> None:
    """Also where it ends later than the one that rang."""
    timer = Timer()
    timer.set(1_000, 0)
    timer.is_over()
    assert timer.set(5_000, 1_000) == Armed(4.0, 2)


def test_a_clock_that_begins_has_lost_what_was_set() -> None:
    """Its ring is of no timer, and stands for all."""
    timer = Timer()
    timer.set(1_000, 0)
    assert timer.is_of(None)


def test_the_wall_clock_is_looked_at_again() -> None:
    """S-446: whoever sets it meanwhile makes the pause no longer than a minute more than it says."""
    timer = Timer()
    assert timer.set(10 * LOOK_AGAIN_MS, 0) == Armed(LOOK_AGAIN_MS / 1000, 1)
