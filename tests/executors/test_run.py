"""A run under way: what is asked of it, and who hears of that."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.executors.run import REASON_ORDER, Run
from millrace.model.errors import InterruptReason


@pytest.fixture
def run() -> Run:
    return Run(None)  # type: ignore[arg-type]  # what is asked of a run does not depend on its claim


@given(st.lists(st.sampled_from(REASON_ORDER), min_size=1))
def test_the_weightiest_reason_counts(reasons: list[InterruptReason]) -> None:
    """Whatever the order in which they come (S-092)."""
    run = Run(None)  # type: ignore[arg-type]  # as above
    for reason in reasons:
        run.ask(reason)
    assert run.asked == min(reasons, key=REASON_ORDER.index)


def test_waiting_ends_when_the_run_is_asked(run: Run) -> None:
    """True at once, also where it was asked before; False after the time."""
    assert run.wait_asked(0.0) is False
    waiter = threading.Thread(target=lambda: results.append(run.wait_asked(10.0)))
    results: list[bool] = []
    waiter.start()
    run.ask("shutdown")
    waiter.join(10.0)
    assert results == [True]
    assert run.wait_asked(0.0) is True


def test_a_listener_is_called_once_a_request(run: Run) -> None:
    """At once where the run has been asked already; no more after it was taken off."""
    heard: list[str] = []
    run.listen(heard.append)
    run.ask("shutdown")
    run.ask("cancelled")
    run.unlisten(heard.append)
    run.ask("superseded")
    run.listen(heard.append)
    assert heard == ["shutdown", "cancelled", "superseded"]
