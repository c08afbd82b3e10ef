"""The IO gate: bodies that would move more than the machine can wait for those that are at it. S-283 to S-289.

A direction is one of disk read, disk write, net rx, net tx, in this order wherever there are four numbers.
"""

from typing import Final, TypeAlias

from millrace.actors.policy.smoothing import Average, bytes_of, number_of
from millrace.model.limits import ResourceSnapshot

Bytes: TypeAlias = tuple[int, int, int, int]
"""Of the four directions."""

HORIZON_S: Final = 1.6
"""Running bodies and the next one may expect as much as the machine moves in this time."""
HALF_LIFE_S: Final = 3600.0
"""In which the excess of the highest reading over the present one halves."""
HELD_AT_MOST_S: Final = 30.0
"""No body waits longer for the gate alone."""
_NOTHING: Final[Bytes] = (0, 0, 0, 0)
_NET: Final = (2, 3)


class IoGate:
    """What the machine can move, what running bodies still expect to move, and whether one more fits in.

    Args:
        bandwidth_limit: bytes a second of each direction of the net, known instead of measured; None: measured.
        is_on: False where there is nothing that reads: then all pass.
    """

    def __init__(self, bandwidth_limit: float | None = None, *, is_on: bool = True) -> None:
        self._limit = bandwidth_limit
        self._is_on = is_on
        self._cpu = Average()
        self._averages = tuple(Average() for _ in range(4))
        self._capacities: list[float | None] = [None] * 4
        self._runs: dict[int, tuple[Bytes, Bytes]] = {}
        """Expected and recorded, of runs that expect something."""
        self._reserved = [0, 0, 0, 0]

    @property
    def is_on(self) -> bool:
        """Whether anything reads, so that bodies can be held."""
        return self._is_on

    # What the machine is at

    def reading(self, snapshot: ResourceSnapshot, now: float) -> None:
        """The sampler has read; ``now`` is monotonic seconds, as everywhere here."""
        cpu = number_of(snapshot.cpu)
        if cpu is not None:
            self._cpu.add(min(1.0, cpu), now)
        for direction, number in enumerate(bytes_of(snapshot)):
            if number is not None:
                self._read(direction, number, now)

    def _read(self, direction: int, number: float, now: float) -> None:
        average, highest = self._averages[direction], self._capacities[direction]
        before = average.at
        present = average.add(number, now)
        if highest is None or before is None or highest <= present:
            self._capacities[direction] = present
        else:
            self._capacities[direction] = present + (highest - present) * 0.5 ** ((now - before) / HALF_LIFE_S)

    def resources(self, now: float) -> ResourceSnapshot | None:
        """The smoothed readings, 0 where the sampler gives none; None after 10 s without any."""
        values = [each.at_time(now) for each in (self._cpu, *self._averages)]
        return None if all(value is None for value in values) else ResourceSnapshot(*(value or 0.0 for value in values))

    def capacities(self, now: float) -> tuple[float | None, float | None, float | None, float | None]:
        """Bytes a second that each direction can move; None where it is not known and holds nobody.

        Without any reading for 10 s nothing is known, the net's limit neither: the gate as a whole is out of service.
        """
        known = [
            None if average.at_time(now) is None else capacity
            for average, capacity in zip(self._averages, self._capacities, strict=True)
        ]
        if self._limit is not None and self.resources(now) is not None:
            for direction in _NET:
                known[direction] = self._limit
        return (known[0], known[1], known[2], known[3])

    def budgets(self, now: float) -> tuple[float | None, float | None, float | None, float | None]:
        """Bytes that running bodies and the next may expect, in each direction: 1.6 s of its capacity."""
        read, write, rx, tx = (None if capacity is None else HORIZON_S * capacity for capacity in self.capacities(now))
        return (read, write, rx, tx)

    # What bodies expect

    @property
    def reserved(self) -> Bytes:
        """Bytes that running bodies still expect to move."""
        read, write, rx, tx = self._reserved
        return (read, write, rx, tx)

    def started(self, task_id: int, expected: Bytes) -> None:
        """A body begins that expects to move this; 0 in all directions need not be told."""
        self.ended(task_id)
        if expected != _NOTHING:
            self._runs[task_id] = (expected, _NOTHING)
            self._reserve(expected, _NOTHING, 1)

    def recorded(self, task_id: int, recorded: Bytes) -> None:
        """It has moved this so far, in all; nothing where it is not known or has ended."""
        run = self._runs.get(task_id)
        if run is not None:
            self._reserve(*run, -1)
            self._runs[task_id] = (run[0], recorded)
            self._reserve(run[0], recorded, 1)

    def ended(self, task_id: int) -> None:
        """The body has ended; idempotent."""
        run = self._runs.pop(task_id, None)
        if run is not None:
            self._reserve(*run, -1)

    def _reserve(self, expected: Bytes, recorded: Bytes, sign: int) -> None:
        for direction in range(4):
            self._reserved[direction] += sign * max(0, expected[direction] - recorded[direction])

    # Whether one more fits in

    def admits(self, expected: Bytes, now: float, held_since: float | None = None) -> bool:
        """Whether a body that expects to move this may start.

        Args:
            expected: bytes in each direction.
            now: monotonic seconds.
            held_since: since when the gate alone holds it; None: it does not yet.
        """
        if not self._is_on or expected == _NOTHING or not any(self._reserved):
            return True
        if held_since is not None and now - held_since >= HELD_AT_MOST_S:
            return True
        return all(
            own <= 0 or taken <= 0 or budget is None or taken + own <= budget
            for own, taken, budget in zip(expected, self._reserved, self.budgets(now), strict=True)
        )
