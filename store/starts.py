"""Starts of runs: which tasks are ready, and when; their claims. The statements of the writing connection for it."""

from collections.abc import Mapping, Sequence

import msgspec

from millrace.model.lanes import Lane
from millrace.model.rows import Ageing, Claim, Ready
from millrace.store.named import Named, chunks, json_text

_decode_claims = msgspec.json.Decoder(list[Claim]).decode
_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_ready = msgspec.json.Decoder(tuple[int | None, list[tuple[int, int, int, int, str | None]]]).decode
_decode_lanes = msgspec.json.Decoder(list[tuple[int, str, str | None, int | None, int]]).decode


class StartWriter(Named):
    """Named statements about starts, in the writer's transaction."""

    def claim(
        self, ids: Sequence[int], now: int, steady: int, effective: Mapping[int, int] | None = None
    ) -> list[Claim]:
        """Start those of the ids that are still ready. Ids that do not come back lost the race, or are past their time to live.

        Args:
            ids: of tasks.
            now: the wall clock's time.
            steady: the same by the clock that nobody sets.
            effective: the priorities by which they start, where waiting raises them.
        """
        found: list[Claim] = []
        raised = None if effective is None else json_text(effective)
        for part in chunks(ids):
            text = json_text(part)
            found += self._load_claims(text, "task", now, steady, raised)
            self._run("claim_tasks", ids=text, now=now, steady=steady, effective=raised)
        return found

    def claim_hooks(self, ids: Sequence[int]) -> list[Claim]:
        """Start the cancel hooks of those of the ids that have one due."""
        text = json_text(ids)
        found = self._load_claims(text, "hook", None)
        self._run("claim_hooks", ids=text)
        return found

    def load_claimed(self, ids: Sequence[int]) -> list[Claim]:
        """The starts that stand committed for these ids."""
        return self._load_claims(json_text(ids), "started", None)

    def _load_claims(
        self, ids: str, what: str, now: int | None, steady: int | None = None, effective: str | None = None
    ) -> list[Claim]:
        step = int(what != "started")
        return _decode_claims(
            self._value("load_claims", ids=ids, what=what, step=step, now=now, steady=steady, effective=effective)
        )

    def select_executing(self) -> list[int]:
        """Tasks with a committed start and no end."""
        return _decode_ids(self._value("select_executing"))

    def select_hooks(self, after: int, limit: int) -> list[int]:
        """Cancelled tasks whose hook is due, by id."""
        return _decode_ids(self._value("select_hooks", after=after, limit=limit))

    def select_ready(self, lane: Lane, after: tuple[int, int], limit: int, *, eldest: bool = False) -> list[Ready]:
        """The next startable tasks of a lane after a place in it: (phase, id), or with ``eldest`` (since when it waits, id)."""
        first, second = after
        text = self._value(
            "select_eldest" if eldest else "select_ready",
            lane=lane.number,
            parent=lane.parent_id,
            first=first,
            second=second,
            limit=limit,
        )
        bound, found = _decode_ready(text)
        return [
            Ready(lane.priority, phase, task_id, crashes, lane, bound, since_ms, io)
            for phase, task_id, crashes, since_ms, io in found
        ]

    def select_lanes(self, after: int, limit: int) -> list[Lane]:
        """Lanes that have ready tasks, by their numbers."""
        return [Lane(*entry) for entry in _decode_lanes(self._value("select_lanes", after=after, limit=limit))]

    def ageing(self) -> Ageing:
        """Which rows are in the order of their waiting."""
        return Ageing(self._value("select_ageing"))

    def set_ageing(self, state: Ageing) -> None:
        """Which are, from now on."""
        self._run("set_ageing", state=state.value)

    def let_age(self, after: int, limit: int) -> int | None:
        """Have waiting raise so many tasks after an id, also those stored when it did not; the last of them, None: no more."""
        last: int | None = self._value("select_page_end", after=after, limit=limit)
        if last is not None:
            self._run("let_age", after=after, last=last)
        return last

    def promote_due(self, now: int, limit: int, *, by_wall_clock: bool = False) -> list[int]:
        """Make tasks whose time has come by a clock ready; their ids."""
        text = self._value("select_due_by_wall_clock" if by_wall_clock else "select_due", now=now, limit=limit)
        ids = _decode_ids(text)
        if ids:
            self._run("promote_due", ids=text)
        return ids

    def next_due(self, *, by_wall_clock: bool = False) -> int | None:
        """The earliest time in ms at which a delayed task is due by a clock."""
        due: int | None = self._value("select_next_due_by_wall_clock" if by_wall_clock else "select_next_due")
        return due

    def select_late(self, now: int, limit: int) -> list[int]:
        """Tasks that wait for a start past their deadline, oldest deadline first."""
        return _decode_ids(self._value("select_late", now=now, limit=limit))

    def extend_deadlines(self, ids: Sequence[int], now: int) -> None:
        """Let tasks with a time to live of 0 start in this millisecond."""
        self._run("extend_deadlines", ids=json_text(ids), now=now)
