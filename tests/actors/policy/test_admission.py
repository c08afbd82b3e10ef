"""How far ahead of the free slots starts are claimed."""

from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.admission import MAX_AHEAD, PIPELINE_S, Lookahead


def test_nothing_is_claimed_ahead_of_what_is_not_known() -> None:
    """Before the first end, and after it where runs are long."""
    lookahead = Lookahead()
    assert lookahead.ahead(4) == 0
    lookahead.observe(1.0)
    assert lookahead.ahead(4) == 0


def test_short_runs_are_claimed_ahead() -> None:
    """As many as keep the slots busy for as long as a commit takes."""
    lookahead = Lookahead()
    for _ in range(100):
        lookahead.observe(PIPELINE_S / 10)
    assert 39 <= lookahead.ahead(4) <= 40


def test_one_long_run_takes_the_lead_back() -> None:
    """At once; and short ones win it again."""
    lookahead = Lookahead()
    for _ in range(100):
        lookahead.observe(0.0001)
    assert lookahead.ahead(4) > 0
    lookahead.observe(2 * PIPELINE_S)
    assert lookahead.ahead(4) == 0
    for _ in range(200):
        lookahead.observe(0.0001)
    assert lookahead.ahead(4) > 0


@given(st.lists(st.floats(0, 1e6)), st.integers(1, 10_000))
def test_the_lead_is_bounded(durations: list[float], slots: int) -> None:
    """Whatever runs took, it is a number from nothing to the most there is."""
    lookahead = Lookahead()
    for duration in durations:
        lookahead.observe(duration)
        assert 0 <= lookahead.ahead(slots) <= MAX_AHEAD


@given(st.floats(0, PIPELINE_S), st.floats(0, PIPELINE_S), st.integers(1, 100))
def test_shorter_runs_have_no_smaller_lead(one: float, other: float, slots: int) -> None:
    """The lead falls as runs get longer."""
    leads = []
    for duration in sorted((one, other)):
        lookahead = Lookahead()
        lookahead.observe(duration)
        leads.append(lookahead.ahead(slots))
    assert leads == sorted(leads, reverse=True)
