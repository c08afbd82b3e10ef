"""What tasks do, as plain Python: keys, duplicates, retries, reruns, trees, dependencies, deadlines; without store or thread.

A second wording of the rules, to hold the first one against. Where the runtime keeps counters and statuses, this counts and
derives them anew each time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

Phase = Literal["body", "children", "finalizer", "tail", "hook"]
End = Literal["returned", "retry", "failed", "interrupted", "shutdown"]

WITHDRAWN = ("cancelled", "superseded")
FAILED = ("failed", "dead_letter", "expired", "dependency_failed")
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
    after: tuple[int, ...] = ()
    """What it depends on."""
    on_failure: str = "cancel"
    ttl: int | None = None
    expires: int | None = None
    """Of a rerun: its time counts from the submit that asked for it."""


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
    needs: list["Task"] = field(default_factory=list)
    """What it, or its rerun, still waits for."""
    heir: "Task | None" = None
    """What superseded it."""
    repeats: "Task | None" = None
    retries_by_hand: list["Task"] = field(default_factory=list)
    expires: int | None = None

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
        if self.phase == "body" and self.needs and self.rerun is None:
            return "blocked"
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
        self.now = 0
        self._cascades: list[Task] = []
        self._ended: list[Task] = []
        self._unsettled: dict[int, list[Task]] = {}
        """What the dependencies of the entries of a submit stood for when it came."""

    @property
    def active(self) -> list[Task]:
        """In the order of their ids."""
        return [task for task in self.tasks.values() if task.end is None]

    def ready(self) -> list[Task]:
        """What can start, in the order of starts."""
        found = [task for task in self.active if task.status == "pending" and not task.is_held]
        return sorted(found, key=lambda task: (task.priority, task.phase != "finalizer", task.id))

    # Submitting

    def submit(self, entries: list[Entry], retried: Task | None = None) -> list[tuple[str, int, int | None]]:
        """(kind, id, replaced) of each; Refused, and then nothing has changed."""
        try:
            return self._submit(entries, retried)
        except Refused:
            self._finish_turn()
            raise

    def _submit(self, entries: list[Entry], retried: Task | None) -> list[tuple[str, int, int | None]]:
        self._expire_holders(entries)
        parents = [self._open_parent(entry) for entry in entries]
        scopes = [self._scope(entry, parent) for entry, parent in zip(entries, parents, strict=True)]
        last = {scope: at for at, scope in enumerate(scopes) if entries[at].policy != "allow"}
        counted = [at for at, scope in enumerate(scopes) if entries[at].policy == "allow" or last[scope] == at]
        holders = {at: self._holder(scopes[at]) for at in counted if entries[at].policy != "allow"}
        self._check_dependencies(entries, counted, holders, retried)
        replaced = {holder for at, holder in holders.items() if holder and entries[at].policy == "supersede"}
        for parent in parents:
            if parent is not None and replaced.intersection(_line(parent)):
                raise Refused
        held = {at: bool(self._winding(scopes[at])) and entries[at].policy != "allow" for at in counted}
        decided = {at: self._store(entries[at], parents[at], holders.get(at), is_held=held[at]) for at in counted}
        self._tell_children()
        new = None if retried is None else self.tasks[decided[0][1]]
        if new is not None and retried is not None and decided[0][0] == "inserted":
            retried.retries_by_hand.append(new)
            new.repeats = retried
            self._take_over(_line_of_retries(retried), new)
        self._finish_turn()
        return [
            decided[at] if at in decided else ("duplicate", decided[last[scopes[at]]][1], None)
            for at in range(len(entries))
        ]

    def _expire_holders(self, entries: list[Entry]) -> None:
        """Late holders of the keys: a parent may be closed by it, and is looked at again."""
        while True:
            found = [self._holder(self._scope(entry, self._open_parent(entry))) for entry in entries]
            if not self.expire_late([holder for holder in found if holder is not None]):
                return

    def _check_dependencies(
        self, entries: list[Entry], counted: list[int], holders: dict[int, Task | None], retried: Task | None
    ) -> None:
        """Refused where a dependency has failed, or anything would wait for itself."""
        self._unsettled = {}
        for entry in entries:
            needs = [newest(self.tasks[one]) for one in entry.after]
            self._unsettled[id(entry)] = [need for need in needs if need.end is None]
            for one in entry.after:
                end = newest(self.tasks[one]).end
                if end not in (None, "completed") and entry.on_failure != "ignore":
                    raise Refused
        replaced = {
            holder.id: -1 - at
            for at in counted
            if (holder := holders.get(at)) is not None and entries[at].policy == "supersede"
        }
        edges = {(task.id, need.id) for task in self.active for need in task.needs}
        edges |= {(task.id, child.id) for task in self.active for child in task.active_children}
        for at in counted:
            entry, holder = entries[at], holders.get(at)
            if holder is not None and (
                entry.policy == "reject" or (entry.policy == "skip" and not holder.is_under_way)
            ):
                continue
            needs = [newest(self.tasks[one]) for one in entry.after]
            is_rerun = holder is not None and entry.policy == "skip"
            me = holder.id if holder is not None and is_rerun else -1 - at
            edges |= {(me, replaced.get(need.id, need.id)) for need in needs if need.end is None}
            if not is_rerun and entry.parent is not None:
                edges.add((entry.parent, me))
            old = [holder] if holder is not None and not is_rerun else []
            if retried is not None:
                old = _line_of_retries(retried)
            edges |= {(task.id, me) for task in self.active if any(one in task.needs for one in old)}
        if has_circle(edges):
            raise Refused

    def _take_over(self, old: list[Task], new: Task) -> None:
        for task in self.active:
            if any(one in task.needs for one in old):
                task.needs = [*(need for need in task.needs if need not in old), new]

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
            holder.heir = new
            self._take_over([holder], new)
            self._close(holder, "superseded")
            self._tell_children()
            new.is_held = is_held or holder.end is None
            return "superseded", new.id, holder.id
        if not holder.is_under_way:
            if priority >= holder.priority:
                return "duplicate", holder.id, None
            holder.priority = priority
            return "upgraded", holder.id, None
        expires = self._deadline(entry, parent)
        again = replace(entry, parent=None, priority=priority, expires=expires)
        kind = self._ask_for_rerun(holder, again)
        if kind == "requeued":
            holder.needs = self._needs(entry)
        return kind, holder.id, None

    def _needs(self, entry: Entry) -> list[Task]:
        """What it has to wait for, each once."""
        return list(dict.fromkeys(newest(need) for need in self._unsettled[id(entry)]))

    def _deadline(self, entry: Entry, parent: Task | None) -> int | None:
        if entry.ttl is None:
            return None if parent is None else parent.expires
        return self.now + entry.ttl

    @staticmethod
    def _ask_for_rerun(holder: Task, entry: Entry) -> str:
        before = holder.rerun
        assert entry.priority is not None
        if before is None:
            holder.rerun = entry
            return "requeued"
        assert before.priority is not None
        if (
            entry.priority >= before.priority
            and replace(entry, priority=before.priority, expires=before.expires) == before
        ):
            return "duplicate"
        holder.rerun = replace(entry, priority=min(entry.priority, before.priority))
        return "requeued"

    def _insert(self, entry: Entry, parent: Task | None, priority: int, *, is_held: bool) -> Task:
        parent_round = 0 if parent is None else parent.round
        holds = int(entry.policy != "allow")
        new = Task(len(self.tasks) + 1, entry, priority, parent, parent_round, holds, is_held)
        self.tasks[new.id] = new
        new.needs, new.expires = self._needs(entry), self._deadline(entry, parent)
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
        kind, new_id, _ = self.submit([entry], old)[0]
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
            self._tell_children()
        self._finish_turn()

    def is_late(self, task: Task) -> bool:
        """Whether it waits for its body past its deadline."""
        waits = task.phase == "body" and not task.is_executing and task.closing is None and task.end is None
        return waits and task.expires is not None and task.expires < self.now

    def expire_late(self, among: list[Task]) -> bool:
        """End those that are past their deadline, and what follows for their dependents; whether there were any."""
        late = [task for task in dict.fromkeys(among) if self.is_late(task)]
        for task in late:
            if self.is_late(task):
                self._close(task, "expired")
        self._follow()
        return bool(late)

    def sweep(self) -> None:
        """Expire all that is late, oldest deadline first."""
        self.expire_late(sorted(filter(self.is_late, self.active), key=lambda task: (task.expires or 0, task.id)))
        self._finish_turn()

    def _finish_turn(self) -> None:
        """What has ended is told to its dependents, what was closed to its children."""
        self._follow()
        while self._cascades:
            self._tell_children()
            self._follow()

    def _tell_children(self) -> None:
        while self._cascades:
            parent = self._cascades.pop()
            for child in parent.active_children:
                if parent.closing == "expired" and not child.has_started and child.closing is None:
                    self._close(child, "expired")
                elif child.closing not in WITHDRAWN:
                    self._close(child, "cancelled")

    def _follow(self) -> None:
        """Level by level: bad ends first, in their order, then what may go on."""
        while self._ended:
            ended, self._ended = self._ended, []
            met: list[tuple[Task, Task]] = []
            bad = [task for task in ended if task.end != "completed"]
            pairs = [(task, waiter) for task in bad for waiter in self.active if task in waiter.needs]
            for task, waiter in pairs:
                if waiter.end is not None or task not in waiter.needs:
                    continue
                policy = waiter.entry.on_failure if waiter.rerun is None else waiter.rerun.on_failure
                is_kept = task.end == "dependency_failed" and task.entry.on_failure == "fail"
                if policy == "ignore":
                    met.append((task, waiter))
                elif is_kept:
                    continue
                elif waiter.rerun is not None:
                    waiter.rerun, waiter.needs = None, []
                else:
                    self._close(waiter, "dependency_failed")
            met += [(task, waiter) for task in ended if task.end == "completed" for waiter in self.active]
            for task, waiter in met:
                if task in waiter.needs:
                    waiter.needs.remove(task)

    def _close(self, task: Task, end: str) -> None:
        task.closing = end
        if end in WITHDRAWN:
            task.holds = 2 if task.holds else 0
            task.rerun = None
        if task.rerun is None:
            task.needs = []
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
        self._ended.append(task)
        if end in WITHDRAWN and not self._winding(task.scope):
            for waiting in self.active:
                if waiting.is_held and waiting.holds == 1 and waiting.scope == task.scope:
                    waiting.is_held = False
        parent = task.parent
        if parent is None or parent.end is not None:
            return
        if parent.closing is None and end in FAILED and self._has_failed(parent):
            parent.closing = "failed"
            if parent.rerun is None:
                parent.needs = []
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
        task.expires = task.entry.expires


def newest(task: Task) -> Task:
    """What stands in its place now: what superseded it, or the newest repetition by hand."""
    line = [task]
    for at in line:
        line += [*at.retries_by_hand, *([at.heir] if at.heir is not None else [])]
    return max(line, key=lambda one: one.id)


def _line_of_retries(task: Task) -> list[Task]:
    """The task with those that it repeats and that repeat it."""
    line = [task]
    for at in line:
        line += [one for one in at.retries_by_hand if one not in line]
        line += [one for one in ([at.repeats] if at.repeats is not None else []) if one not in line]
    return line


def has_circle(edges: set[tuple[int, int]]) -> bool:
    """Take away what waits for nothing, until nothing is left, or a circle is."""
    left = edges
    while True:
        waiters = {waiter for waiter, _ in left}
        rest = {(waiter, task) for waiter, task in left if task in waiters}
        if rest == left:
            return bool(left)
        left = rest


def _line(task: Task) -> Iterable[Task]:
    """The task and all above it."""
    at: Task | None = task
    while at is not None:
        yield at
        at = at.parent
