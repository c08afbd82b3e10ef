"""Lists and counts by filters: right whatever is asked, and without a scan where an index could do."""

import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from filling import fill

from millrace.model.filters import Filters
from millrace.model.records import TaskRecord
from millrace.model.statuses import TERMINAL, TaskStatus
from millrace.store import looking
from millrace.store.connection import Location, locate
from millrace.store.looking import (
    count_active,
    count_tasks,
    find_record,
    load_records,
    read_tag_keys,
    read_tag_values,
    select_ids,
)
from millrace.store.opening import open_store
from millrace.store.readers import Readers
from millrace.store.statements import SQL

MANY = 100_000
NAMES = ("a::one", "a::two", "b::one", "ab::one")
SETTLED_STATUSES = ("completed", "failed", "dead_letter", "cancelled", "superseded", "expired", "dependency_failed")


def passes(record: TaskRecord, filters: Filters) -> bool:
    """What a filter means, said once more and as plainly as can be."""
    return (
        (filters.statuses is None or record.status.value in filters.statuses)
        and (filters.names is None or record.task_name in filters.names)
        and (filters.domain is None or record.task_name.partition("::")[0] == filters.domain)
        and filters.group in (None, record.group)
        and filters.parent in (None, record.parent_id)
        and filters.key in (None, record.key)
        and all(record.tags.get(k) == v for k, v in filters.tags.items())
        and (not filters.tag_prefix or any(k.startswith(filters.tag_prefix) for k in record.tags))
    )


def active_row(dice: random.Random, id: int) -> dict[str, Any]:
    """A row of the queue as one of the ways of life leaves it."""
    status = dice.choice(("pending", "pending", "running", "blocked", "waiting", "paused", "parked", "cancelling"))
    is_executing = status == "running" or (status == "cancelling" and dice.random() < 0.5)
    return {
        "status": status,
        "executing": int(is_executing),
        "run": int(is_executing),
        "closing": "cancelled" if status == "cancelling" else None,
        "holds_key": 1 if status != "cancelling" else 2,
        **any_row(dice, id),
    }


def any_row(dice: random.Random, id: int) -> dict[str, Any]:
    """What rows of both tables have."""
    return {
        "id": id,
        "name": dice.choice(NAMES),
        "key": f"k{dice.randrange(id)}" if dice.random() < 0.5 else f"own{id}",
        "parent_id": dice.choice((None, None, 1, 2)) if id > 2 else None,
        "parent_round": dice.randrange(2),
        "grp": dice.choice((None, "g", "h")),
        "tags": dice.choice((None, {"env": "prod"}, {"env": "test", "Env": "prod"}, {"env_x": "1", "zone": "é"})),
        "retry_of": id // 2 if id % 5 == 0 else None,
    }


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    """600 rows of every kind, a third of them active, with a group and a domain paused."""
    location = locate(tmp_path_factory.mktemp("mixed") / "store.db")
    connection = open_store(location)
    dice = random.Random(7)
    ids = list(range(1, 601))
    active = set(dice.sample(ids, 200)) | {1}
    queue = []
    held: set[tuple[Any, ...]] = set()
    for id in sorted(active):
        row = active_row(dice, id)
        place = (row["name"], row["parent_id"], row["parent_round"], row["key"])
        if place in held and row["holds_key"] == 1:
            row["holds_key"] = 0
        held.add(place)
        queue.append(row)
    fill(connection, "task", queue)
    settled = [id for id in ids if id not in active]
    dice.shuffle(settled)  # they settle in another order than that of their ids
    fill(connection, "history", [{"status": dice.choice(SETTLED_STATUSES), **any_row(dice, id)} for id in settled])
    connection.execute("INSERT INTO pause VALUES ('group', 'h', 1, NULL), ('domain', 'b', 1, NULL)")
    connection.close()
    readers = Readers(location)
    yield readers
    readers.close()


def every_record(readers: Readers) -> list[TaskRecord]:
    """All records, newest first."""
    with readers.borrow() as connection:
        return load_records(connection, list(range(600, 0, -1)))


def asked(dice: random.Random) -> Filters:
    """A handful of filters, each given or not."""

    def maybe(*values: Any) -> Any:
        return dice.choice(values) if dice.random() < 0.35 else None

    statuses = [status.value for status in TaskStatus]
    return Filters(
        statuses=maybe(frozenset(dice.sample(statuses, dice.randrange(1, 5))), frozenset({dice.choice(statuses)}), frozenset()),
        names=maybe(("a::one",), ("a::one", "b::one", "none::such")),
        domain=maybe("a", "b", "ab", "none"),
        group=maybe("g", "h", "none"),
        parent=maybe(1, 2, 10**30),
        tags=maybe({"env": "prod"}, {"env": "test", "Env": "prod"}, {"zone": "é"}, {"env": "PROD"}) or {},
        tag_prefix=maybe("env", "e", "E", "env_", "zone", "%", "none") or "",
        key=maybe(f"k{dice.randrange(40)}", f"k{dice.randrange(40)}", "none"),
        unrepeated=maybe(True) or False,
    )  # fmt: skip


@pytest.mark.parametrize("cap", [10_000, 20, 1])
def test_any_filters_give_what_they_say(mixed: Readers, monkeypatch: pytest.MonkeyPatch, cap: int) -> None:
    """S-218, S-219, S-341: every way leads to the same tasks, whether it is short or too long to be read whole."""
    monkeypatch.setattr(looking, "CAP", cap)
    monkeypatch.setattr(looking, "FEW", min(cap, 100) // 2)
    monkeypatch.setattr(looking, "WINDOW", 50)
    records = every_record(mixed)
    repeated = {one.retry_of for one in records}
    dice = random.Random(cap)
    for _ in range(400):
        filters = asked(dice)
        limit, before = dice.choice((1, 5, 100, 10**30)), dice.choice((None, 300, 601, 0, -5, 10**30))
        expected = [one for one in records if passes(one, filters) and not (filters.unrepeated and one.id in repeated)]
        page = [one.id for one in expected if before is None or one.id < before][:limit]
        with mixed.borrow() as connection:
            assert select_ids(connection, filters, limit=limit, before=before) == page, filters
        assert count_tasks(mixed, filters) == len(expected), filters


def test_counts_of_active_statuses(mixed: Readers) -> None:
    """S-337: every active status, 0 too, by whatever filter; what is paused by its scope is not pending."""
    records = every_record(mixed)
    for filters in (
        Filters(),
        Filters(domain="a"),
        Filters(domain="none"),
        Filters(group="h"),
        Filters(names=("b::one",)),
    ):
        with mixed.borrow() as connection:
            counts = count_active(connection, filters)
        expected = {status: 0 for status in TaskStatus if status not in TERMINAL}
        for record in records:
            if not record.status.is_terminal and passes(record, filters):
                expected[record.status] += 1
        assert counts == expected
    assert any(one.status is TaskStatus.PAUSED and one.group == "h" for one in records)


def test_pages_have_no_gaps_and_no_repeats(mixed: Readers) -> None:
    """S-341: paging by the last id goes through all, newest first."""
    filters = Filters(domain="a", tag_prefix="env")
    seen: list[int] = []
    while True:
        with mixed.borrow() as connection:
            page = select_ids(connection, filters, limit=7, before=seen[-1] if seen else None)
        if not page:
            break
        seen += page
    assert seen == [one.id for one in every_record(mixed) if passes(one, filters)]


def test_find_takes_the_root_then_the_child_then_the_newest_settled(mixed: Readers) -> None:
    """`find`: the active task with that key, else the newest in the history, among all names of a task."""
    records = every_record(mixed)
    for names, number in itertools.product((("a::one",), ("a::two", "b::one")), range(60)):
        key = f"k{number}"
        there = [one for one in records if one.task_name in names and one.key == key]
        there.sort(
            key=lambda one: (one.status.is_terminal, not one.status.is_terminal and one.parent_id is not None, -one.id)
        )
        found = find_record(mixed, names, key)
        assert (found and found.id) == (there[0].id if there else None)


def test_tags_are_counted_by_value_and_listed_by_prefix(mixed: Readers) -> None:
    """S-219: most first, ties by value; keys sorted; a domain narrows them."""
    records = every_record(mixed)
    for domain in (None, "a", "none"):
        mine = [one.tags for one in records if domain is None or one.task_name.startswith(f"{domain}::")]
        for key in ("env", "zone", "none"):
            counts: dict[str, int] = {}
            for tags in mine:
                if key in tags:
                    counts[tags[key]] = counts.get(tags[key], 0) + 1
            expected = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
            assert list(read_tag_values(mixed, key, domain).items()) == expected
        for prefix in ("", "e", "env", "env_", "E", "n%"):
            keys = sorted({k for tags in mine for k in tags if k.startswith(prefix)})
            assert read_tag_keys(mixed, prefix, domain) == keys


def test_a_prefix_ends_where_no_text_begins_so() -> None:
    """Whatever its last character is, all texts that begin so come before the end, and no other from the prefix on."""
    last = chr(0x10FFFF)
    assert looking._end_of("ab") == "ac"
    assert looking._end_of("a" + last) == "b"
    assert looking._end_of(last + last) is None
    assert looking._end_of("a\ud7ff") == "a\ue000"
    assert looking._end_of("") is None


def test_what_no_store_can_hold_is_found_nowhere(mixed: Readers) -> None:
    """Lone surrogates are no text: what is asked for by them is not there, and no error."""
    odd = "\ud800"
    for filters in (
        Filters(names=(odd,)), Filters(domain=odd), Filters(group=odd), Filters(key=odd), Filters(tags={"env": odd}),
        Filters(tags={odd: "x"}), Filters(tag_prefix=odd),
    ):  # fmt: skip
        assert count_tasks(mixed, filters) == 0, filters
    assert read_tag_values(mixed, odd, None) == {}
    assert find_record(mixed, (odd,), "k1") is None


# Many rows


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    """100,000 queued and 100,000 settled rows of one name, and among the oldest of either a few that are special."""
    location: Location = locate(tmp_path_factory.mktemp("crowd") / "store.db")
    connection = open_store(location)
    special = {
        "name": "rare::one", "grp": "g", "parent_id": 1, "tags": {"env": "prod"}, "key": "special",
    }  # fmt: skip

    def settled() -> Iterator[dict[str, Any]]:
        for id in range(2, MANY):
            row = {"id": id, "name": "many::one"}
            yield {**row, **special, "status": "failed"} if id in (5, 6) else row

    def active() -> Iterator[dict[str, Any]]:
        yield {"id": 1, "name": "many::one", "status": "waiting", "child_total": 2, "child_active": 2}
        for id in range(MANY + 1, 2 * MANY):
            row = {"id": id, "name": "many::one"}
            if id in (MANY + 5, MANY + 6):
                yield {**row, **special, "status": "blocked", "key": f"special{id % 2}"}
            else:
                yield row

    fill(connection, "history", settled())
    fill(connection, "task", active())
    yield connection
    connection.close()


def steps_of(connection: apsw.Connection, work: Any) -> int:
    """How many instructions of SQLite's machine something takes, to a hundred."""
    hundreds = 0

    def on_progress() -> bool:
        nonlocal hundreds
        hundreds += 1
        return False

    connection.set_progress_handler(on_progress, 100)
    try:
        work()
    finally:
        connection.set_progress_handler(None)
    return 100 * hundreds


RARE = {
    "name": Filters(names=("rare::one",)),
    "domain": Filters(domain="rare"),
    "group": Filters(group="g"),
    "parent": Filters(parent=1),
    "tags": Filters(tags={"env": "prod"}),
    "tag_prefix": Filters(tag_prefix="en"),
    "key and name": Filters(names=("rare::one",), key="special"),
    "key": Filters(key="special"),
    "two common and one rare": Filters(names=("many::one", "rare::one"), tag_prefix="en", statuses=frozenset({"failed"})),
    "status": Filters(statuses=frozenset({"blocked", "failed"})),
    "paused": Filters(statuses=frozenset({"paused", "dead_letter"})),
}  # fmt: skip
FEW_STEPS = 100_000
"""A tenth of a scan's: each way is measured up to 2,000 entries, and one row of a scan costs ten instructions or more."""


@pytest.mark.parametrize("kind", sorted(RARE))
def test_what_is_rare_is_found_without_a_scan(crowd: apsw.Connection, kind: str) -> None:
    """S-343: whichever filter picks out a few old rows, the others are not read, for a page and for a count."""
    found: list[int] = []
    steps = steps_of(crowd, lambda: found.extend(select_ids(crowd, RARE[kind], limit=100)))
    expected = {5, 6, MANY + 5, MANY + 6}
    if kind == "paused":
        expected = set()
    elif kind.startswith("key") or kind == "two common and one rare":
        expected = {5, 6}
    assert set(found) == expected
    assert steps < FEW_STEPS
    assert steps_of(crowd, lambda: looking._count_queue(crowd, RARE[kind])) < FEW_STEPS
    assert steps_of(crowd, lambda: looking._count_history(crowd, RARE[kind])) < FEW_STEPS


def test_the_newest_of_many_runs_under_one_key_is_found_at_once(crowd: apsw.Connection, location: Location) -> None:
    """All runs of a series without arguments have one key: the newest is read, and not the others."""
    connection = open_store(location)
    fill(connection, "history", ({"id": id, "name": "many::one", "key": "same"} for id in range(1, 5_000)))
    asked = {"names": json.dumps(["many::one", "none::such"]), "key": "same"}
    found: list[int] = []
    steps = steps_of(connection, lambda: found.append(connection.execute(SQL["find_newest_settled"], asked).get))
    connection.close()
    assert found == [4_999]
    assert steps <= 1_000


COMMON = {
    "none": Filters(),
    "name": Filters(names=("many::one",)),
    "domain": Filters(domain="many"),
    "status": Filters(statuses=frozenset({"pending", "completed"})),
    "pending": Filters(statuses=frozenset({"pending"})),
    "name and status": Filters(names=("many::one",), statuses=frozenset({"pending", "completed"})),
}


@pytest.mark.parametrize("kind", sorted(COMMON))
@pytest.mark.parametrize("before", [None, MANY // 2])
def test_a_page_of_what_is_common_reads_a_page(crowd: apsw.Connection, kind: str, before: int | None) -> None:
    """S-341: a page costs the same however many more there are, and wherever it begins."""
    steps = steps_of(crowd, lambda: select_ids(crowd, COMMON[kind], limit=100, before=before))
    assert steps < FEW_STEPS


def test_counts_of_all_and_of_statuses_read_no_rows(crowd: apsw.Connection) -> None:
    """S-343: the number of rows, and that of each status, come from the indexes of what is rare."""
    for filters in (
        Filters(),
        COMMON["status"],
        COMMON["pending"],
        Filters(statuses=frozenset({"completed", "expired"})),
    ):
        assert steps_of(crowd, lambda given=filters: looking._count_queue(crowd, given)) < FEW_STEPS
        assert steps_of(crowd, lambda given=filters: looking._count_history(crowd, given)) < FEW_STEPS
    assert steps_of(crowd, lambda: count_active(crowd, Filters())) < FEW_STEPS
    assert looking._count_queue(crowd, COMMON["pending"]) == MANY - 3
    assert looking._count_history(crowd, COMMON["status"]) == MANY - 4
