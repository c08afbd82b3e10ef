"""Which rows of a page of the history go."""

from hypothesis import given
from hypothesis import strategies as st

from millrace.actors.policy.retention import STEP, judge
from millrace.model.rows import OldRow


def page(*holders: int | None, first: int = 1) -> list[OldRow]:
    """Rows that finished at 10, 20, ... ms."""
    return [OldRow(first + at, 10 * (at + 1), holder) for at, holder in enumerate(holders)]


def test_the_earliest_rows_over_the_count_go() -> None:
    """Of four rows with two too many the first two go, and the third is the first that stays."""
    verdict = judge(page(None, None, None, None), after=0, border=0, excess=2, before_ms=None)
    assert verdict.doomed == (1, 2)
    assert verdict.counted == 2
    assert verdict.after == 2
    assert verdict.next_row == OldRow(3, 30, None)


def test_rows_before_the_border_go_whatever_the_count() -> None:
    """What lies before the border was never counted: it goes, and lowers no count."""
    verdict = judge(page(None, None, None), after=0, border=3, excess=0, before_ms=None)
    assert (verdict.doomed, verdict.counted, verdict.after) == ((1, 2), 0, 2)


def test_rows_that_finished_before_the_age_go() -> None:
    """A row is too old from the first millisecond beyond the age on, not at it."""
    verdict = judge(page(None, None, None), after=0, border=0, excess=0, before_ms=20)
    assert verdict.doomed == (1,)
    assert verdict.next_row == OldRow(2, 20, None)


def test_a_row_that_an_active_parent_holds_is_decided_and_stays() -> None:
    """It counts as gone, so that it is not looked at again, and its parent is named."""
    verdict = judge(page(7, None, 8, None), after=0, border=0, excess=3, before_ms=None)
    assert verdict.doomed == (2,)
    assert verdict.held_by == {7, 8}
    assert (verdict.counted, verdict.after) == (3, 3)


def test_a_page_that_ends_before_a_row_stays_names_none() -> None:
    """All rows of the page go: what comes next is not known."""
    verdict = judge(page(None, None), after=0, border=0, excess=5, before_ms=None)
    assert verdict.next_row is None
    assert verdict.after == 2


def test_no_more_than_a_step_goes_at_a_time() -> None:
    """The row after a full step stays for the next one."""
    verdict = judge(page(*[None] * (STEP + 1)), after=0, border=0, excess=STEP + 1, before_ms=None)
    assert len(verdict.doomed) == STEP
    assert verdict.next_row is not None
    assert verdict.next_row.seq == STEP + 1


@given(
    holders=st.lists(st.none() | st.integers(1, 3), max_size=30),
    border=st.integers(0, 20),
    excess=st.integers(-3, 20),
    before_ms=st.none() | st.integers(0, 300),
)
def test_what_goes_is_a_prefix_without_what_is_held(
    holders: list[int | None], border: int, excess: int, before_ms: int | None
) -> None:
    """Every decided row is beyond a bound, the first undecided one is not, and of the decided all but the held ones go."""
    rows = page(*holders)
    verdict = judge(rows, after=0, border=border, excess=excess, before_ms=before_ms)
    decided = [row for row in rows if row.seq <= verdict.after]
    assert list(verdict.doomed) == [row.seq for row in decided if row.holder is None]
    assert verdict.held_by == {row.holder for row in decided if row.holder is not None}
    assert verdict.counted == sum(row.seq >= border for row in decided)
    stays = rows[len(decided)] if len(decided) < len(rows) else None
    assert verdict.next_row == stays
    if stays is not None:
        assert stays.seq >= border
        assert verdict.counted >= excess
        assert before_ms is None or stays.finished_at_ms >= before_ms
