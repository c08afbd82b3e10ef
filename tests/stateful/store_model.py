"""What tasks do, as plain Python: keys, duplicates, retries, reruns and trees, without a store, a thread or a clock.

A second wording of the rules, to hold the first one against. Where the runtime keeps counters and statuses, this counts and
derives them anew each time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

Phase = Literal["body", "children", "finalizer", "tail", "hook"]
End = Literal["returned", "retry", "failed", "interrupted", "shutdown"]

WITHDRAWN = ("cancelled", "superseded")
FAILED = ("failed", "dead_letter")
MAX_CRASHES = 3


@dataclass(frozen=True)
class Entry:
    """A submission."""

    name: str
    key: str
    policy: str
    priority: int | None
    parent: int | None
    payload: int
    fail_fast: bool
    max_retries: int


@dataclass(eq=False, repr=False)
class Task:
    """A task, active until it has an end."""

    id: int
    entry: Entry
    priority: int
    parent: "Task | None"
    parent_round: int
    holds: int
    is_held: bool
    phase: Phase = "body"
    is_executing: bool = False
    run: int = 0
    round: int = 1
    body_runs: int = 0
    has_started: bool = False
    retries: int = 0
    crashes: int = 0
    closing: str | None = None
    rerun: Entry | None = None
    children: list["Task"] = field(default_factory=list)
    """Of the present round."""
    end: str | None = None

    def __repr__(self) -> str:
        return f"<{self.id} {self.entry.name} {self.status}>"

    @property
    def scope(self) -> tuple[str, int, int, str]:
        """Where its key is unique."""
        parent_id = 0 if self.parent is None else self.parent.id
        return self.entry.name, parent_id, self.parent_round, self.entry.key

    @property
    def active_children(self) -> list["Task"]:
        """Those of the present round that have not ended."""
        return [child for child in self.children if child.end is None]

    @property
    def failed_count(self) -> int:
        """Children of the present round with a failed end."""
        return sum(child.end in FAILED for child in self.children)

    @property
    def status(self) -> str:
        """Follows from the rest."""
        if self.end is not None:
            return self.end
        if self.closing in WITHDRAWN:
            return "cancelling"
        if self.is_executing:
            return "running"
        return "pending" if self.phase in ("body", "finalizer") else "waiting"

    @property
    def is_under_way(self) -> bool:
        """Whether its round has got further than waiting for its body."""
        return self.status in ("running", "waiting") or self.phase == "finalizer"


class Refused(Exception):
    """The parent is closed."""


class Model:
    """All tasks of a store.

    Args:
        is_heard: whether somebody listens to events: then no outcome without its claim takes the short way, before the others.
    """

    def __init__(self, *, is_heard: bool) -> None:
        self.is_heard = is_heard
        self.tasks: dict[int, Task] = {}
        self._cascades: list[Task] = []

    @property
    def active(self) -> list[Task]:
        """In the order of their ids."""
        return [task for task in self.tasks.values() if task.end is None]

    def ready(self) -> list[Task]:
        """What can start, in the order of starts."""
        found = [task for task in self.active if task.status == "pending" and not task.is_held]
        return sorted(found, key=lambda task: (task.priority, task.phase != "finalizer", task.id))

    # Submitting

    def submit(self, entries: list[Entry]) -> list[tuple[str, int, int | None]]:
        """(kind, id, replaced) of each; Refused, and then nothing has changed."""
        parents = [self._open_parent(entry) for entry in entries]
        scopes = [self._scope(entry, parent) for entry, parent in zip(entries, parents, strict=True)]
        last = {scope: at for at, scope in enumerate(scopes) if entries[at].policy != "allow"}
        counted = [at for at, scope in enumerate(scopes) if entries[at].policy == "allow" or last[scope] == at]
        holders = {at: self._holder(scopes[at]) for at in counted if entries[at].policy != "allow"}
        replaced = {holder for at, holder in holders.items() if holder and entries[at].policy == "supersede"}
        for parent in parents:
            if parent is not None and replaced.intersection(_line(parent)):
                raise Refused
        held = {at: bool(self._winding(scopes[at])) and entries[at].policy != "allow" for at in counted}
        decided = {at: self._store(entries[at], parents[at], holders.get(at), is_held=held[at]) for at in counted}
        self._finish_turn()
        return [
            decided[at] if at in decided else ("duplicate", decided[last[scopes[at]]][1], None)
            for at in range(len(entries))
        ]

    def _open_parent(self, entry: Entry) -> Task | None:
        if entry.parent is None:
            return None
        parent = self.tasks[entry.parent]
        if any(task.end is not None or task.closing is not None for task in _line(parent)):
            raise Refused
        return parent

    @staticmethod
    def _scope(entry: Entry, parent: Task | None) -> tuple[str, int, int, str]:
        return entry.name, 0 if parent is None else parent.id, 0 if parent is None else parent.round, entry.key

    def _holder(self, scope: tuple[str, int, int, str]) -> Task | None:
        found = [task for task in self.active if task.holds == 1 and task.scope == scope]
        assert len(found) <= 1
        return found[0] if found else None

    def _winding(self, scope: tuple[str, int, int, str]) -> list[Task]:
        return [task for task in self.active if task.holds == 2 and task.scope == scope]

    def _store(
        self, entry: Entry, parent: Task | None, holder: Task | None, *, is_held: bool
    ) -> tuple[str, int, int | None]:
        inherited = 128 if parent is None else parent.priority
        priority = inherited if entry.priority is None else entry.priority
        if holder is None:
            return "inserted", self._insert(entry, parent, priority, is_held=is_held).id, None
        if entry.policy == "reject":
            return "rejected", holder.id, None
        if entry.policy == "supersede":
            new = self._insert(entry, parent, priority, is_held=True)
            self._close(holder, "superseded")
            self._finish_turn()
            new.is_held = is_held or holder.end is None
            return "superseded", new.id, holder.id
        if not holder.is_under_way:
            if priority >= holder.priority:
                return "duplicate", holder.id, None
            holder.priority = priority
            return "upgraded", holder.id, None
        return self._ask_for_rerun(holder, replace(entry, parent=None, priority=priority)), holder.id, None

    @staticmethod
    def _ask_for_rerun(holder: Task, entry: Entry) -> str:
        before = holder.rerun
        assert entry.priority is not None
        if before is None:
            holder.rerun = entry
            return "requeued"
        assert before.priority is not None
        if entry.priority >= before.priority and replace(entry, priority=before.priority) == before:
            return "duplicate"
        holder.rerun = replace(entry, priority=min(entry.priority, before.priority))
        return "requeued"

    def _insert(self, entry: Entry, parent: Task | None, priority: int, *, is_held: bool) -> Task:
        parent_round = 0 if parent is None else parent.round
        holds = int(entry.policy != "allow")
        new = Task(len(self.tasks) + 1, entry, priority, parent, parent_round, holds, is_held)
        self.tasks[new.id] = new
        if parent is not None:
            parent.children.append(new)
            if parent.phase == "finalizer" and not parent.is_executing and not parent.body_runs:
                parent.phase = "children"
        return new

    def repeat(self, task_id: int) -> tuple[str, int]:
        """(kind, id); Refused where it has not ended badly."""
        old = self.tasks[task_id]
        if old.end not in (*FAILED, "cancelled"):
            raise Refused
        parent = old.parent
        if parent is not None and any(task.end is not None or task.closing is not None for task in _line(parent)):
            parent = None
        entry = replace(old.entry, policy="reject", priority=old.priority, parent=None if parent is None else parent.id)
        kind, new_id, _ = self.submit([entry])[0]
        return ("duplicate" if kind == "rejected" else kind), new_id

    # Runs

    def start(self, task: Task) -> None:
        """A run of its body or finalizer begins."""
        task.is_executing = True
        task.run += 1
        task.body_runs += 1
        task.has_started = True

    def start_hook(self, task: Task) -> None:
        """Its cancel hook begins."""
        task.is_executing = True
        task.run += 1

    def withdraw(self, task: Task) -> None:
        """Its start is taken back: as if it had not been."""
        task.is_executing = False
        if task.phase == "hook":
            return
        task.body_runs -= 1
        if task.phase == "body" and not task.body_runs and task.round == 1:
            task.has_started = False
        if task.phase == "finalizer" and not task.body_runs and task.active_children:
            task.phase = "children"
        if task.closing is not None:
            task.phase = "children"
            self._advance(task)
        self._finish_turn()

    def finish(self, ends: list[tuple[Task, End]]) -> None:
        """Runs end, all in one commit."""
        plain = [entry for entry in ends if not self.is_heard and self._is_plain(*entry)]
        for task, end in [*plain, *(entry for entry in ends if entry not in plain)]:
            self._finish_one(task, end)
        self._finish_turn()

    @staticmethod
    def _is_plain(task: Task, end: End) -> bool:
        is_leaf = not task.children and task.rerun is None and task.closing is None
        return end == "returned" and task.phase == "body" and is_leaf and task.entry.name != "play::final"

    def _finish_one(self, task: Task, end: End) -> None:
        task.is_executing = False
        task.crashes = 0
        if task.phase == "hook":
            self._settle(task, task.closing or "")
        elif task.closing is not None:
            task.phase = "children"
            self._advance(task)
        elif end == "returned":
            self._returned(task)
        elif end == "retry" and task.retries < task.entry.max_retries:
            self._go_on(task, retries=1)
        elif end == "shutdown":
            self._go_on(task, retries=0)
        else:
            self._close(task, {"retry": "dead_letter", "failed": "failed", "interrupted": "cancelled"}[end])

    def _returned(self, task: Task) -> None:
        was_body = task.phase == "body"
        task.phase = "children" if was_body else "tail"
        task.body_runs = 0
        if was_body and not task.active_children and not self._has_failed(task) and task.entry.name == "play::final":
            task.phase, task.retries = "finalizer", 0  # in the slot of its body
            self.start(task)
        else:
            self._advance(task)

    def _go_on(self, task: Task, *, retries: int) -> None:
        """It is run again; where a newer submission waits, that is."""
        if task.rerun is None:
            task.retries += retries
        elif task.active_children:
            self._close(task, "failed")
        else:
            self._begin_rerun(task)

    def crash(self) -> None:
        """The process dies and starts again: nothing executes."""
        for task in self.active:
            if not task.is_executing:
                continue
            task.is_executing = False
            if task.phase == "hook":
                continue
            if task.closing is not None:
                task.phase = "children"
                self._advance(task)
                continue
            task.crashes += 1
            if task.crashes >= MAX_CRASHES:
                self._close(task, "dead_letter")
            else:
                self._go_on(task, retries=0)
        self._finish_turn()

    # Ends

    def cancel(self, task: Task) -> None:
        """It is to end cancelled, and all below it."""
        if task.end is None and task.closing not in WITHDRAWN:
            self._close(task, "cancelled")
        self._finish_turn()

    def _finish_turn(self) -> None:
        """What was closed is told to the children."""
        while self._cascades:
            for child in self._cascades.pop().active_children:
                if child.closing not in WITHDRAWN:
                    self._close(child, "cancelled")

    def _close(self, task: Task, end: str) -> None:
        task.closing = end
        if end in WITHDRAWN:
            task.holds = 2 if task.holds else 0
            task.rerun = None
        if not task.is_executing:
            task.phase = "children"
        self._cascades.append(task)
        self._advance(task)

    @staticmethod
    def _has_failed(task: Task) -> bool:
        return task.entry.fail_fast and task.failed_count > 0

    def _advance(self, task: Task) -> None:
        if task.is_executing or task.end is not None or task.active_children:
            return
        if task.closing is not None:
            if task.closing in WITHDRAWN and task.has_started and task.entry.name == "play::hook":
                task.phase = "hook"
            else:
                self._settle(task, task.closing)
        elif task.phase in ("children", "tail"):
            if self._has_failed(task):
                self._settle(task, "failed")
            elif task.phase == "children" and task.entry.name == "play::final":
                task.phase, task.body_runs, task.retries = "finalizer", 0, 0
            else:
                self._settle(task, "completed")

    def _settle(self, task: Task, end: str) -> None:
        if task.rerun is not None and end not in WITHDRAWN:
            self._begin_rerun(task)
            return
        task.end = end
        if end in WITHDRAWN and not self._winding(task.scope):
            for waiting in self.active:
                if waiting.is_held and waiting.holds == 1 and waiting.scope == task.scope:
                    waiting.is_held = False
        parent = task.parent
        if parent is None or parent.end is not None:
            return
        if parent.closing is None and end in FAILED and self._has_failed(parent):
            parent.closing = "failed"
            if not parent.is_executing:
                parent.phase = "children"
            self._cascades.append(parent)
        self._advance(parent)

    @staticmethod
    def _begin_rerun(task: Task) -> None:
        assert task.rerun is not None
        assert task.rerun.priority is not None
        task.entry, task.priority, task.rerun = replace(task.rerun, parent=task.entry.parent), task.rerun.priority, None
        task.phase, task.round, task.children = "body", task.round + 1, []
        task.retries = task.crashes = task.body_runs = 0
        task.closing = None


def _line(task: Task) -> Iterable[Task]:
    """The task and all above it."""
    at: Task | None = task
    while at is not None:
        yield at
        at = at.parent
