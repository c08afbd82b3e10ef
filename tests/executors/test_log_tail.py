"""The bounded log lines of a run."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.executors.log_tail import MAX_BYTES, MAX_LINES, LogTail


def tail_of(*messages: str) -> LogTail:
    tail = LogTail()
    for message in messages:
        tail.add(message)
    return tail


def test_lines_are_kept_in_order() -> None:
    """A message of several lines is several lines."""
    assert tail_of("a", "b\nc", "").text() == "a\nb\nc\n"


@pytest.mark.parametrize(("count", "first"), [(MAX_LINES, "0"), (MAX_LINES + 1, "... 1 earlier line dropped")])
def test_the_newest_lines_are_kept(count: int, first: str) -> None:
    """200 of them, and how many went is said first."""
    lines = tail_of(*map(str, range(count))).text().split("\n")
    assert (lines[0], lines[-1]) == (first, str(count - 1))


def test_bytes_are_bounded_too() -> None:
    """64 KiB with their newlines, counted in UTF-8."""
    tail = tail_of(*["ä" * 500] * 100)
    lines = tail.text().split("\n")
    assert lines[0] == f"... {tail.dropped} earlier lines dropped"
    assert sum(len(line.encode()) + 1 for line in lines[1:]) <= MAX_BYTES
    assert tail.dropped == 100 - MAX_BYTES // 1001


def test_a_line_that_is_too_long_loses_its_end() -> None:
    """It is the only one then."""
    tail = tail_of("before", "x" * (2 * MAX_BYTES))
    assert tail.text() == "... 1 earlier line dropped\n" + "x" * (MAX_BYTES - 1)


@given(st.lists(st.text(alphabet=st.characters(codec=None, exclude_categories=())), max_size=50))
def test_whatever_is_logged_can_be_stored(messages: list[str]) -> None:
    """No NUL, no lone surrogate."""
    text = tail_of(*messages).text()
    assert "\0" not in text
    assert text.encode().decode() == text


def test_threads_share_it() -> None:
    """No line is lost or counted twice."""
    tail = LogTail()
    threads = [threading.Thread(target=lambda: [tail.add("x") for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tail.text().split("\n") == [f"... {4000 - MAX_LINES} earlier lines dropped", *["x"] * MAX_LINES]
    assert tail.dropped == 4000 - MAX_LINES
