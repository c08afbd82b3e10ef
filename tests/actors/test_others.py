"""When other programs' commits are looked for."""

import pytest

from millrace.actors.others import LOOK_EVERY_S, LOOK_SELDOM_S, SHARE, Others


def test_another_version_is_news_once() -> None:
    """S-369: nothing is done where nobody else has written."""
    others = Others(is_owner=True, is_successor=False)
    others.begin(7)
    assert [others.look(version, now=0.0) for version in (7, 8, 8, 9)] == [False, True, False, True]


def test_a_successor_takes_what_it_finds_for_news() -> None:
    """S-374: the one before it may have died between a commit elsewhere and its look."""
    others = Others(is_owner=True, is_successor=True)
    others.begin(7)
    assert others.look(7, now=0.0)
    assert not others.look(7, now=1.0)


def test_looks_have_their_time() -> None:
    """S-369: at once, then as often as it takes to act within 100 ms."""
    others = Others(is_owner=True, is_successor=False)
    assert others.due_in(100.0) == 0.0
    others.look(1, now=100.0)
    assert others.due_in(100.0) == pytest.approx(LOOK_EVERY_S)
    assert others.due_in(101.0) == 0.0


def test_after_a_long_one_there_is_a_long_pause() -> None:
    """Following what others write costs at most a tenth of the persistence actor's time."""
    others = Others(is_owner=True, is_successor=False)
    others.look(1, now=100.0)
    others.followed(102.0)
    assert others.due_in(102.0) == SHARE * 2.0


class Rung:
    """A bell that the test rings."""

    is_rung = False


def test_where_others_ring_looks_are_few() -> None:
    """S-369: at once when it rings, once for all strokes till then; seldom else; not sooner than a long look lets it."""
    bell = Rung()
    others = Others(is_owner=True, is_successor=False, bell=bell)
    others.look(1, now=100.0)
    assert others.due_in(100.0) == LOOK_SELDOM_S
    bell.is_rung = True
    assert others.due_in(100.0) == 0.0
    others.begin_look()
    others.look(2, now=100.5)
    assert others.due_in(100.5) == LOOK_SELDOM_S
    others.followed(101.0)
    bell.is_rung = True
    assert others.due_in(101.0) == pytest.approx(SHARE * 0.5)
