"""The sampler: asks the pressure sources and the resource sampler once a second, beside dispatch. S-285, S-289 to S-291.

Owns: when each source was last heard. Nothing of it outlives it, nothing has to.
Talks to: the dispatcher, which hears every number as it comes.
Never: calls a source in its own thread; asks one a second time that has not answered yet; waits for one while it has others.
Dies: its successor asks anew; the dispatcher counts what it heard until that is out of date.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Final

from millrace.actors.actor import Actor, Loop, Watcher
from millrace.actors.mailbox import Mailbox, Reply, Tells
from millrace.actors.policy.smoothing import OUT_OF_DATE_S, Average, bytes_of, number_of
from millrace.actors.sources import NETWORK, Answered, Source, Sources
from millrace.actors.times import Times
from millrace.model.limits import ResourceSnapshot

log = logging.getLogger("millrace.sampler")

INTERVAL_S: Final = 1.0
FIRST_S: Final = 1.0
"""The first start waits so long for the first answers. Only a source that hangs costs that."""


@dataclass(frozen=True, slots=True)
class Readings:
    """News for the dispatcher: what is not named is as it was.

    It also comes, with nothing in it, when what was known of the resources is out of date.
    """

    resources: ResourceSnapshot | None
    """As the sampler gave it, not smoothed; NaN in it is unknown. None: no new reading."""
    pressures: Mapping[str, float | None]
    """What sources have said; None: it raised, said no number, or has not answered for 10 s, and is left out."""


class Sampler(Actor):
    """See the module.

    Args:
        sources: what is asked; made once a scheduler, so that a source that hangs is known to all samplers.
        dispatcher: is told ``Readings``.
        first: answered when the dispatcher has been told of every source, or after ``FIRST_S``.
    """

    def __init__(
        self,
        mailbox: Mailbox[Any],
        loop: Loop,
        watcher: Watcher,
        *,
        times: Times,
        sources: Sources,
        dispatcher: Tells[Any],
        first: Reply[None] | None = None,
    ) -> None:
        super().__init__(mailbox, loop, watcher)
        self._times = times
        self._sources = sources
        self._dispatcher = dispatcher
        self._first = first
        self._address = mailbox
        self._next_at = 0.0
        self._first_until: float | None = None
        self._awaited: set[str] = set()
        """Sources whose first answer the first start waits for."""
        self._heard: dict[str, float] = {}
        """When each source last said a number; at first, when it was first asked."""
        self._silent: set[str] = set()
        """Sources whose last number is out of date."""
        self._failing: set[str] = set()
        """Sources that said no number when they were last heard of: logged once."""
        self._net = Average()

    def on_start(self) -> None:
        """Ask all of them at once."""
        now = self._times.monotonic()
        self._next_at = now
        self._awaited = {_key(source) for source in self._sources.all}
        self._heard = dict.fromkeys(self._awaited, now)
        self._first_until = now + FIRST_S
        self._ask()
        self._end_first()

    def receive(self, messages: Sequence[Answered]) -> None:
        """Pass on what has been said."""
        for message in messages:
            if message.kind == "resources":
                self._on_resources(message)
            else:
                self._on_pressure(message)
            self._awaited.discard(_key(message))
        self._end_first()
        if self._times.monotonic() >= self._next_at:
            self._ask()

    def wake_in(self) -> float | None:
        """Until the next second, or until the first start has waited enough."""
        if not self._sources.all:
            return None
        due = self._next_at if self._first_until is None else min(self._next_at, self._first_until)
        return max(0.0, due - self._times.monotonic())

    def wake(self) -> None:
        """Ask again."""
        self._end_first()
        if self._times.monotonic() >= self._next_at:
            self._ask()

    # Asking

    def _ask(self) -> None:
        now = self._times.monotonic()
        following = self._next_at + INTERVAL_S
        self._next_at = following if following > now else now + INTERVAL_S
        for source in self._sources.all:
            source.ask(self._loop, self._address.tell)
            if now - self._heard[_key(source)] >= OUT_OF_DATE_S and _key(source) not in self._silent:
                self._silent.add(_key(source))
                self._leave_out(source)

    def _leave_out(self, source: Source) -> None:
        """Told, so that the dispatcher need not watch the time for what says nothing."""
        if _key(source) not in self._failing:
            self._failing.add(_key(source))
            log.warning("%s has given no number for %g s and is left out until it does", _title(source), OUT_OF_DATE_S)
        if source.kind == "pressure":
            self._tell(None, {source.name: None})
        else:
            self._tell(None, {NETWORK: None} if self._sources.makes_network else {})

    def _end_first(self) -> None:
        if self._first_until is None:
            return
        if self._awaited and self._times.monotonic() < self._first_until:
            return
        self._first_until = None
        if self._first is not None:
            self._first.set(None)

    # Answers

    def _on_pressure(self, answer: Answered) -> None:
        number = _pressure_of(answer.value)
        if number is None:
            self._note_failure(answer, "0..1")
        else:
            self._note_number(answer)
        self._tell(None, {answer.name: number})

    def _on_resources(self, answer: Answered) -> None:
        snapshot = answer.value
        if not isinstance(snapshot, ResourceSnapshot):
            self._note_failure(answer, "a ResourceSnapshot")
            return
        if all(number is None for number in (number_of(snapshot.cpu), *bytes_of(snapshot))):
            return  # as psutil's first, which has nothing to compare with; in the long run noticed by the time
        self._note_number(answer)
        self._tell(snapshot, self._network(snapshot))

    def _network(self, snapshot: ResourceSnapshot) -> dict[str, float | None]:
        """The net's load as a pressure, smoothed as all readings are (S-291)."""
        limit = self._sources.bandwidth_limit
        if limit is None or not self._sources.makes_network:
            return {}
        _, _, rx, tx = bytes_of(snapshot)
        if rx is None or tx is None:
            return {NETWORK: None}
        return {NETWORK: min(1.0, self._net.add(rx + tx, self._times.monotonic()) / limit)}

    def _note_number(self, answer: Answered) -> None:
        key = _key(answer)
        self._heard[key] = self._times.monotonic()
        self._silent.discard(key)
        if key in self._failing:
            self._failing.discard(key)
            log.info("%s gives numbers again", _title(answer))

    def _note_failure(self, answer: Answered, expected: str) -> None:
        key = _key(answer)
        if key in self._failing:
            return
        self._failing.add(key)
        if answer.error is not None:
            log.warning("%s failed and is left out until it does not", _title(answer), exc_info=answer.error)
        else:
            log.warning("%s: expected %s, got %r; it is left out", _title(answer), expected, answer.value)

    def _tell(self, resources: ResourceSnapshot | None, pressures: Mapping[str, float | None]) -> None:
        self._dispatcher.tell(Readings(resources, pressures))


def _key(source: Source | Answered) -> str:
    return f"{source.kind} {source.name}"


def _title(source: Source | Answered) -> str:
    return "the resource sampler" if source.kind == "resources" else f"the pressure source {source.name!r}"


def _pressure_of(value: object) -> float | None:
    """What a source said, cut to 0..1; None where it is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (isinstance(value, float) and isnan(value)):
        return None
    return float(min(1, max(0, value)))
