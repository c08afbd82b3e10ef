"""The one syntax of filters: what a user types, as a value. Pure.

A filter is terms with blanks between them, and a task has to meet all of them:

| term | lets pass |
|---|---|
| `status:failed,dead_letter` | tasks in any of these statuses |
| `task:media::thumbnail` | of this type, by its qualified name |
| `domain:media`, `group:imports` | of a domain, of a group |
| `parent:17` | children of task 17 |
| `tag:tenant=acme`, `tag:tenant` | with that tag and value; with a tag whose key begins so |
| `key:report-7` | with exactly this key |
| `error:"timed out"` | whose error has that text in it, but for completed ones |
| `age>1h`, `age<10m` | submitted longer ago, or less long, than that: s, m, h, d or w |

A value goes on over blanks up to the next term; where it holds what looks like one, it stands in double quotes.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from millrace.model.durations import to_seconds
from millrace.model.filters import Filters
from millrace.model.statuses import TaskStatus

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE: Final = re.compile(r"age([<>])(\d+(?:\.\d+)?)([smhdw])")
_WORD: Final = re.compile(r'(?:[^\s"]|"[^"]*")+')
_BEGIN: Final = re.compile(r"[a-z_]+:(?!:)|age\W")
_TERM: Final = re.compile(r"([a-z]+):(.*)", re.DOTALL)
_LARGEST_ID: Final = 2**63 - 1


class FilterError(ValueError):
    """A filter that says nothing; the message says what was expected, and where."""


@dataclass(frozen=True, slots=True)
class Query:
    """A filter as it was meant. None and empty let everything pass."""

    statuses: frozenset[TaskStatus] | None = None
    task: str | None = None
    domain: str | None = None
    group: str | None = None
    parent: int | None = None
    tags: tuple[tuple[str, str], ...] = field(default=())
    tag_prefix: str = ""
    key: str | None = None
    error: str | None = None
    older_than_s: float | None = None
    younger_than_s: float | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it lets everything pass."""
        return self == Query()

    def filters(self, now_ms: int) -> Filters:
        """As the store takes it.

        Args:
            now_ms: the wall clock, from which ages are counted back.
        """
        statuses = self.statuses
        if self.error is not None:
            failing = frozenset(TaskStatus) - {TaskStatus.COMPLETED}
            statuses = failing if statuses is None else statuses & failing
        return Filters(
            statuses=None if statuses is None else frozenset(status.value for status in statuses),
            names=None if self.task is None else (self.task,),
            domain=self.domain,
            group=self.group,
            parent=self.parent,
            tags=dict(self.tags),
            tag_prefix=self.tag_prefix,
            key=self.key,
            error=self.error,
            created_from_ms=None if self.younger_than_s is None else now_ms - round(self.younger_than_s * 1000),
            created_before_ms=None if self.older_than_s is None else now_ms - round(self.older_than_s * 1000),
        )

    def within(self, statuses: frozenset[TaskStatus]) -> "Query":
        """The same, of these statuses alone."""
        return replace(self, statuses=statuses if self.statuses is None else self.statuses & statuses)


def parse(text: str | Sequence[str]) -> Query:
    """A query from one text, or from words as a shell gives them.

    Raises:
        FilterError: a term is unknown, its value is not of its kind, or it says again what another has said.
    """
    query = Query()
    for term in _split(text if isinstance(text, str) else " ".join(text)):
        query = _add(query, term)
    return query


def _split(text: str) -> list[str]:
    """The terms, without quotes. A word that begins none goes on with the one before."""
    if text.count('"') % 2:
        raise FilterError(f"filter: expected a quote to end, got {text!r}")
    terms: list[str] = []
    for word in _WORD.findall(text):
        bare = word.replace('"', "")
        if terms and not _BEGIN.match(word):
            terms[-1] = f"{terms[-1]} {bare}"
        else:
            terms.append(bare)
    return terms


def as_id(text: str) -> int | None:
    """The id that a text is; None where it is none, or longer than any."""
    is_short = len(text) <= len(str(_LARGEST_ID))  # Python takes no number of thousands of digits
    return int(text) if is_short and text.isascii() and text.isdigit() and int(text) <= _LARGEST_ID else None


def _add(query: Query, term: str) -> Query:
    age = _AGE.fullmatch(term)
    if age is not None:
        name = "older_than_s" if age[1] == ">" else "younger_than_s"
        try:
            seconds = to_seconds(float(age[2]) * _UNITS[age[3]], "age")
        except ValueError as error:
            raise FilterError(str(error)) from None
        return _set(query, name, seconds, term)
    if term.startswith("age"):
        raise FilterError(f"age: expected age>1h or age<10m (s, m, h, d or w), got {term!r}")
    match = _TERM.fullmatch(term)
    add = None if match is None else _TERMS.get(match[1])
    if match is None or add is None:
        raise FilterError(f"filter: expected {', '.join(f'{name}:' for name in _TERMS)}, age> or age<, got {term!r}")
    if not match[2]:
        raise FilterError(f"{match[1]}: expected a value behind the colon, got none")
    return add(query, match[2])


def _set(query: Query, name: str, value: Any, term: str) -> Query:
    before = getattr(query, name)
    if before not in (None, "") and before != value:
        raise FilterError(f"filter: expected each term once, {term!r} differs from one before; no task can meet both")
    return replace(query, **{name: value})


def _add_status(query: Query, value: str) -> Query:
    names = [name.strip().lower() for name in value.split(",")]
    try:
        statuses = frozenset(TaskStatus(name) for name in names)
    except ValueError:
        known = ", ".join(status.value for status in TaskStatus)
        raise FilterError(f"status: expected one or more of {known} with commas between them, got {value!r}") from None
    return _set(query, "statuses", statuses, f"status:{value}")


def _add_task(query: Query, value: str) -> Query:
    domain, colons, name = value.partition("::")
    if not (domain and colons and name):
        raise FilterError(f"task: expected a qualified name such as media::thumbnail, got {value!r}; or use domain:")
    return _set(query, "task", value, f"task:{value}")


def _add_domain(query: Query, value: str) -> Query:
    if "::" in value:
        raise FilterError(f"domain: expected the name of a domain, got {value!r}; for one task use task:")
    return _set(query, "domain", value, f"domain:{value}")


def _add_parent(query: Query, value: str) -> Query:
    parent = as_id(value)
    if parent is None:
        raise FilterError(f"parent: expected the id of a task, got {value!r}")
    return _set(query, "parent", parent, f"parent:{value}")


def _add_tag(query: Query, value: str) -> Query:
    key, equals, tag = value.partition("=")
    if not equals:
        return _set(query, "tag_prefix", key, f"tag:{value}")
    if not key:
        raise FilterError(f"tag: expected KEY=VALUE or the beginning of a key, got {value!r}")
    if dict(query.tags).get(key, tag) != tag:
        raise FilterError(f"filter: expected each tag once, 'tag:{value}' differs from one before")
    return replace(query, tags=(*(pair for pair in query.tags if pair[0] != key), (key, tag)))


def _plain(name: str) -> Callable[[Query, str], Query]:
    return lambda query, value: _set(query, name, value, f"{name}:{value}")


_TERMS: Final[dict[str, Callable[[Query, str], Query]]] = {
    "status": _add_status,
    "task": _add_task,
    "domain": _add_domain,
    "group": _plain("group"),
    "parent": _add_parent,
    "tag": _add_tag,
    "key": _plain("key"),
    "error": _plain("error"),
}
