"""The syntax of filters, by its table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.cli.filters import FilterError, Query, parse
from millrace.model.statuses import TaskStatus

HOUR = 3600.0


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", Query()),
        ("   ", Query()),
        ("status:failed", Query(statuses=frozenset({TaskStatus.FAILED}))),
        ("status:failed,DEAD_LETTER", Query(statuses=frozenset({TaskStatus.FAILED, TaskStatus.DEAD_LETTER}))),
        ("task:media::thumb", Query(task="media::thumb")),
        ("task:a::b group:x::y", Query(task="a::b", group="x::y")),
        ("domain:media group:imports", Query(domain="media", group="imports")),
        ("parent:17", Query(parent=17)),
        ("tag:tenant=acme", Query(tags=(("tenant", "acme"),))),
        ("tag:a=1 tag:b=", Query(tags=(("a", "1"), ("b", "")))),
        ("tag:tenant", Query(tag_prefix="tenant")),
        ("tag:url=x=y", Query(tags=(("url", "x=y"),))),
        ("key:report-7", Query(key="report-7")),
        ("error:timed out status:failed", Query(error="timed out", statuses=frozenset({TaskStatus.FAILED}))),
        ('error:"status: 500"', Query(error="status: 500")),
        ("error:can't \\n", Query(error="can't \\n")),
        ("age>1h", Query(older_than_s=HOUR)),
        ("age<1.5h age>10m", Query(younger_than_s=1.5 * HOUR, older_than_s=600.0)),
        ("age<2w", Query(younger_than_s=2 * 7 * 24 * HOUR)),
        (["error:timed", "out", "group:x"], Query(error="timed out", group="x")),
    ],
)
def test_terms(text: str | list[str], meant: Query) -> None:
    """Each term says one thing; all of them are meant together."""
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("thumb", "expected status:, task:"),
        ("stats:failed", "got 'stats:failed'"),
        ("group:x stats:failed", "got 'stats:failed'"),
        ("status:fail", "expected one or more of blocked, pending"),
        ("status:", "expected a value behind the colon"),
        ("task:thumb", "expected a qualified name such as media::thumbnail"),
        ("domain:media::thumb", "for one task use task:"),
        ("parent:-1", "expected the id of a task"),
        ("parent:99999999999999999999", "expected the id of a task"),
        (f"parent:{'9' * 5000}", "expected the id of a task"),
        (f"age>{'9' * 400}w", "expected a finite number of seconds"),
        ("tag:=x", "expected KEY=VALUE"),
        ("tag:a=1 tag:a=2", "expected each tag once"),
        ("group:a group:b", "expected each term once"),
        ("age>1", "expected age>1h or age<10m"),
        ("age:1h", "expected age>1h or age<10m"),
        ('error:"open', "expected a quote to end"),
    ],
)
def test_what_is_no_term_is_refused(text: str, complaint: str) -> None:
    """The error says what was expected, and shows what came."""
    with pytest.raises(FilterError, match=complaint.replace("|", r"\|")):
        parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_a_complaint_of_one_line(text: str) -> None:
    """Nothing else comes of it, whatever was typed."""
    complaint = ""
    try:
        query = parse(text)
    except FilterError as error:
        query, complaint = Query(), str(error)
    assert query.is_everything == (not text.strip() or "expected" in complaint)


@given(
    statuses=st.frozensets(st.sampled_from(TaskStatus), min_size=1),
    parent=st.integers(0, 2**63 - 1),
    group=st.from_regex(r"[A-Za-z0-9_.-]{1,20}( [0-9]{1,3})?", fullmatch=True),
)
def test_what_is_written_is_what_is_read(statuses: frozenset[TaskStatus], parent: int, group: str) -> None:
    """Terms in any order mean the same."""
    terms = [f"status:{','.join(statuses)}", f"parent:{parent}", f"group:{group}"]
    assert parse(" ".join(terms)) == parse(terms[::-1]) == Query(statuses=statuses, parent=parent, group=group)


def test_ages_are_counted_back_from_now() -> None:
    """Older than is before that time, younger than is from it on."""
    filters = parse("age>1h age<1d").filters(now_ms=100_000_000)
    assert filters.created_before_ms == 100_000_000 - 3_600_000
    assert filters.created_from_ms == 100_000_000 - 86_400_000


def test_completed_tasks_have_no_error_to_look_in() -> None:
    """A search in errors does not read what ended well, be it asked for or not."""
    assert "completed" not in (parse("error:x").filters(0).statuses or ())
    assert parse("error:x status:completed").filters(0).statuses == frozenset()
