"""The window of ready tasks: the first of the queue, bounded, and nothing lost that only the window has."""

import random

from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.window import Window
from millrace.model.rows import Ready


def ready(number: int, priority: int = 128) -> Ready:
    return Ready(priority, 1, number, 0)


def drain(window: Window, store: list[Ready], page: int = 3) -> list[int]:
    """Take everything out, with pages of what the store has."""
    taken: list[int] = []
    while True:
        if window.is_low:
            after = window.horizon
            found = sorted(task for task in store if (task.priority, task.phase, task.id) > after)[:page]
            window.extend(found, page)
            continue
        task = window.pop()
        if task is None:
            return taken
        taken.append(task.id)


def test_an_offer_beyond_the_horizon_is_kept() -> None:
    """A child that its supervisor offers before the first page is there starts in its turn: no page will bring it."""
    window = Window(4)
    window.offer([ready(9)], is_kept=True)
    assert window.pop() is None
    assert drain(window, [ready(1), ready(20)]) == [1, 9, 20]


def test_an_offer_that_is_taken_back_is_gone() -> None:
    """A recalled offer is out of the window, also beyond the horizon."""
    window = Window(4)
    window.offer([ready(9)], is_kept=True)
    assert window.discard(9)
    assert not window.discard(9)
    assert drain(window, []) == []


def test_an_offer_survives_the_trimming_of_the_window() -> None:
    """When the window forgets its less urgent half, offers in it are kept aside."""
    window = Window(2)
    window.extend([], 1)
    store = [ready(number) for number in range(1, 8)]
    window.offer([ready(50)], is_kept=True)
    window.offer(store)
    assert len(window) <= 4
    assert drain(window, store) == [1, 2, 3, 4, 5, 6, 7, 50]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40), st.integers(1, 4), st.integers(0, 9))
def test_everything_comes_out_once_and_in_order(tasks: list[tuple[int, bool]], capacity: int, seed: int) -> None:
    """Whatever is offered and whatever lies in the store, all of it is taken out in the order of starts."""
    window = Window(capacity)
    rng = random.Random(seed)
    all_of_them = [(Ready(priority, 1, number, 0), is_offer) for number, (priority, is_offer) in enumerate(tasks, 1)]
    store = [task for task, is_offer in all_of_them if not is_offer]
    for task, is_offer in rng.sample(all_of_them, len(all_of_them)):
        window.offer([task], is_kept=is_offer)
    assert drain(window, store) == [task.id for task in sorted(task for task, _ in all_of_them)]
