"""Where the sampler's numbers come from: the user's functions, psutil, the kernel. Each call in a thread of its own."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias, cast

import psutil

from millrace.actors.actor import Loop
from millrace.actors.times import Times
from millrace.model.limits import ResourceSampler, ResourceSnapshot

RESOURCES: Final = "resources"
"""The name under which the resource sampler answers; apart from the names of pressure sources."""
NETWORK: Final = "network"
IO_STALLS: Final = "io"
PRESSURE_FILE: Final = Path("/proc/pressure/io")
"""Linux, where the kernel counts stalls (PSI): docs.kernel.org/accounting/psi.html."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A source has returned a value, or raised."""

    kind: Literal["pressure", "resources"]
    name: str
    value: object
    error: BaseException | None = None


Listener: TypeAlias = Callable[[Answered], None]


class Source:
    """A function that is asked for a number now and then, and may raise or hang.

    It outlives the actors that ask: who hangs is not asked a second time, not by a successor either. Any thread.
    """

    def __init__(self, kind: Literal["pressure", "resources"], name: str, read: Callable[[], object]) -> None:
        self.kind: Final = kind
        self.name = name
        self._read = read
        self._is_asked = threading.Lock()

    def ask(self, loop: Loop, listener: Listener) -> bool:
        """Have it called beside everything else; False where the call before has not returned yet.

        Args:
            loop: makes the thread.
            listener: is given the answer, in that thread; must not block.
        """
        if not self._is_asked.acquire(blocking=False):
            return False
        try:
            loop.detach(lambda: self._answer(listener), f"source-{self.name}")
        except RuntimeError as error:  # the system has no thread left: this costs the reading
            self._is_asked.release()
            listener(Answered(self.kind, self.name, None, error))
        return True

    def _answer(self, listener: Listener) -> None:
        try:
            answer = Answered(self.kind, self.name, self._read())
        except BaseException as error:  # noqa: BLE001 - whatever a user's function raises is its own
            answer = Answered(self.kind, self.name, None, error)
        self._is_asked.release()
        listener(answer)


@dataclass(frozen=True, slots=True)
class Sources:
    """All that a scheduler's sampler asks."""

    pressures: tuple[Source, ...] = ()
    resources: Source | None = None
    bandwidth_limit: float | None = None
    """Bytes a second; makes the pressure source "network" of the readings of the net."""

    @property
    def all(self) -> tuple[Source, ...]:
        """Those that are asked; none: no sampler is needed."""
        return self.pressures if self.resources is None else (*self.pressures, self.resources)

    @property
    def makes_network(self) -> bool:
        """Whether the net's readings are a pressure; a source of the user's that is called so comes before."""
        return self.bandwidth_limit is not None and all(source.name != NETWORK for source in self.pressures)


def sources_of(
    pressure: Mapping[str, Callable[[], float]],
    resources: Literal["psutil"] | ResourceSampler | None,
    bandwidth_limit: float | None,
    times: Times,
    *,
    stalls: Path = PRESSURE_FILE,
) -> Sources:
    """The sources of a scheduler that is given these; api.pyi tells what each means.

    Sources of the user's come before the runtime's own of the same name.

    Args:
        pressure: functions by name.
        resources: what reads the machine; a bandwidth limit alone makes it "psutil".
        bandwidth_limit: bytes a second.
        times: the clock by which totals are differenced.
        stalls: where the kernel reports stalls.
    """
    reads: dict[str, Callable[[], object]] = dict(pressure)
    if resources is None and bandwidth_limit is not None:
        resources = "psutil"
    sampler: ResourceSampler | None
    if resources == "psutil":
        sampler = PsutilSampler(times)
        if _has_stalls(stalls):
            reads.setdefault(IO_STALLS, lambda: read_stalls(stalls))
    else:
        sampler = resources
    return Sources(
        tuple(Source("pressure", name, read) for name, read in reads.items()),
        None if sampler is None else Source("resources", RESOURCES, sampler.sample),
        bandwidth_limit,
    )


# The machine


class _DiskTotals(Protocol):
    read_bytes: int
    write_bytes: int


class _NetTotals(Protocol):
    bytes_recv: int
    bytes_sent: int


Totals: TypeAlias = tuple[float, float, float, float, float, float]
"""Busy and all seconds of the processors; bytes read, written, received, sent. NaN: the system does not say."""


class PsutilSampler:
    """The whole machine's use since the last sample, from the system's totals.

    The first sample has no numbers, as there is nothing to compare with. Traffic of the machine with itself (loopback) is
    no traffic of the net.

    Args:
        times: the clock.
        totals: what has been used since the machine started; the system's own unless given.
    """

    def __init__(self, times: Times, totals: "Callable[[], Totals] | None" = None) -> None:
        self._times = times
        self._totals = totals or read_totals
        self._last: tuple[float, Totals] | None = None

    def sample(self) -> ResourceSnapshot:
        """See ``ResourceSampler``."""
        now, totals = self._times.monotonic(), self._totals()
        before, self._last = self._last, (now, totals)
        if before is None or now <= before[0]:
            return ResourceSnapshot(nan, nan, nan, nan, nan)
        elapsed = now - before[0]
        busy, spent, *moved = (new - old for new, old in zip(totals, before[1], strict=True))
        read, write, rx, tx = (each / elapsed for each in moved)
        # Within its bounds: idle totals are rounded, and the kernel lets the time that waits for disks go back now and then.
        cpu = min(1.0, max(0.0, busy / spent)) if spent > 0 else nan
        return ResourceSnapshot(cpu, read, write, rx, tx)


def read_totals() -> Totals:
    """The machine's totals."""
    cpu = psutil.cpu_times()._asdict()
    # A guest's time is part of its host's; a processor that waits for a disk could do something else.
    spent = sum(seconds for name, seconds in cpu.items() if name not in ("guest", "guest_nice"))
    idle = cpu["idle"] + cpu.get("iowait", 0.0)
    disk = cast("_DiskTotals | None", psutil.disk_io_counters())
    nets = cast("Mapping[str, _NetTotals]", psutil.net_io_counters(pernic=True))
    real = [net for name, net in nets.items() if name not in ("lo", "lo0")]
    return (
        spent - idle,
        spent,
        nan if disk is None else disk.read_bytes,
        nan if disk is None else disk.write_bytes,
        sum(net.bytes_recv for net in real) if real else nan,
        sum(net.bytes_sent for net in real) if real else nan,
    )


def read_stalls(path: Path = PRESSURE_FILE) -> float:
    """The part of the last 10 s, 0..1, in which something stood still for want of a disk.

    Raises:
        OSError, ValueError: the file is not there, or says something else.
    """
    for line in path.read_text().splitlines():
        kind, *fields = line.split()
        if kind == "some":
            return float(dict(field.split("=") for field in fields)["avg10"]) / 100
    raise ValueError(f"{path}: expected a line that begins with 'some'")


def _has_stalls(path: Path) -> bool:
    try:
        read_stalls(path)
    except (OSError, ValueError, KeyError):  # kernels without, kernels where it is switched off, other systems
        return False
    return True
