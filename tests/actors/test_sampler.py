"""The sampler: S-285, S-289 to S-291. Driven by hand, with injected sources; then with threads, and once on this machine."""

import logging
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import psutil
import pytest

from millrace.actors.actor import ThreadLoop
from millrace.actors.mailbox import Mailbox, Reply
from millrace.actors.policy.gate import IoGate
from millrace.actors.policy.pressure import Pressure
from millrace.actors.sampler import Readings, Sampler
from millrace.actors.sources import PsutilSampler, Sources, read_stalls, read_totals, sources_of
from millrace.actors.times import SystemTimes
from millrace.model.limits import ResourceSnapshot

WAIT_S = 60.0
NOWHERE = Path("/nowhere/pressure")


class HandTimes:
    """Times that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return int(self.now * 1000)

    def steady_ms(self) -> int:
        return int(self.now * 1000)


class HandLoop:
    """A loop whose threads are run by hand: what is left in it hangs."""

    def __init__(self) -> None:
        self.detached: dict[str, Callable[[], None]] = {}
        self.calls: list[str] = []
        self.has_threads = True

    def detach(self, work: Callable[[], None], name: str) -> None:
        if not self.has_threads:
            raise RuntimeError("can't start new thread")
        assert name not in self.detached, "two calls of one source at once"
        self.calls.append(name)
        self.detached[name] = work


class Ears:
    """Whoever is told something; from any thread."""

    def __init__(self) -> None:
        self.heard: list[Readings] = []
        self._changed = threading.Condition()

    def tell(self, message: Readings) -> None:
        with self._changed:
            self.heard.append(message)
            self._changed.notify_all()

    def await_one(self, is_meant: Callable[[Readings], bool]) -> Readings:
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(is_meant, self.heard)), WAIT_S)
            return next(filter(is_meant, self.heard))


class Stage:
    """A sampler without a thread."""

    def __init__(self, sources: Sources, times: HandTimes) -> None:
        self.times, self.loop, self.ears = times, HandLoop(), Ears()
        self.mailbox: Mailbox[Any] = Mailbox("sampler")
        self.sources = sources
        self.first: Reply[None] = Reply()
        self.sampler = self.make()

    def make(self) -> Sampler:
        """Also a successor."""
        return Sampler(
            self.mailbox,
            self.loop,  # type: ignore[arg-type]  # no actor is begun, nobody waits
            lambda actor, error: None,
            times=self.times,
            sources=self.sources,
            dispatcher=self.ears,
            first=self.first,
        )

    def answer(self, *hanging: str) -> None:
        """Let the calls return, but for those, and have the sampler hear of it."""
        for name in list(self.loop.detached):
            if name.removeprefix("source-") not in hanging:
                self.loop.detached.pop(name)()
        self.hear()

    def hear(self) -> None:
        messages = []
        while not self.mailbox.inbox.empty():
            messages.append(self.mailbox.inbox.get().message)
        if messages:
            self.sampler.receive(messages)

    def pass_time(self, seconds: float, *hanging: str) -> None:
        """Move on, waking the sampler whenever it wants."""
        end = self.times.now + seconds
        while (due_in := self.sampler.wake_in()) is not None and self.times.now + due_in <= end:
            self.times.now += due_in
            self.sampler.wake()
            self.answer(*hanging)
        self.times.now = end

    def pressures(self) -> list[dict[str, float | None]]:
        return [dict(one.pressures) for one in self.ears.heard if one.pressures]


@pytest.fixture
def times() -> HandTimes:
    return HandTimes()


def stage_of(times: HandTimes, *, limit: float | None = None, resources: Any = None, **pressure: Any) -> Stage:
    return Stage(sources_of(pressure, resources, limit, times, stalls=NOWHERE), times)


class Script:
    """A source or sampler that gives one answer after the other, the last for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self) -> Any:
        answer = self.answers[min(self.calls, len(self.answers) - 1)]
        self.calls += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer

    sample = __call__


# When


def test_sources_are_asked_at_once_and_then_once_a_second(times: HandTimes) -> None:
    """S-290: first before the first start, which waits for the answers and no interval."""
    source = Script(0.1, 0.2, 0.3)
    stage = stage_of(times, cpu=source)
    stage.sampler.on_start()
    assert not stage.first.is_set
    stage.answer()
    assert (stage.first.is_set, stage.pressures()) == (True, [{"cpu": 0.1}])
    assert stage.sampler.wake_in() == 1.0
    stage.pass_time(0.999)
    assert source.calls == 1
    stage.pass_time(1.001)
    assert stage.pressures() == [{"cpu": 0.1}, {"cpu": 0.2}, {"cpu": 0.3}]


def test_the_first_start_does_not_wait_for_a_source_that_hangs(times: HandTimes) -> None:
    """S-290: it costs itself, and the first start a second at most."""
    stage = stage_of(times, hangs=Script(1.0), works=Script(0.2))
    stage.sampler.on_start()
    stage.answer("hangs")
    assert not stage.first.is_set
    stage.pass_time(1.0, "hangs")
    assert stage.first.is_set


def test_without_sources_nothing_is_done(times: HandTimes) -> None:
    """S-289: no thread, no wake-up, and nobody waits."""
    stage = stage_of(times)
    stage.sampler.on_start()
    assert (stage.first.is_set, stage.sampler.wake_in(), stage.loop.calls) == (True, None, [])


def test_a_pause_of_the_machine_is_not_made_up_for(times: HandTimes) -> None:
    """S-447: one call after it, then once a second as before."""
    source = Script(0.1)
    stage = stage_of(times, cpu=source)
    stage.sampler.on_start()
    stage.answer()
    times.now += 1000.0
    stage.sampler.wake()
    stage.answer()
    assert source.calls == 2
    assert stage.sampler.wake_in() == 1.0


# Sources that fail


def test_one_that_hangs_does_not_block_the_others(times: HandTimes) -> None:
    """S-290: it is not asked again before it has answered, is left out after 10 s, and comes back."""
    hangs, works = Script(0.9), Script(0.2)
    stage = stage_of(times, hangs=hangs, works=works)
    stage.sampler.on_start()
    stage.answer("hangs")
    stage.pass_time(9.5, "hangs")
    assert {"hangs": None} not in stage.pressures()
    stage.pass_time(20.0, "hangs")
    assert stage.pressures().count({"hangs": None}) == 1
    assert stage.loop.calls.count("source-hangs") == 1
    assert works.calls == 30
    stage.answer()
    assert stage.pressures()[-1] == {"hangs": 0.9}
    stage.pass_time(1.0)
    assert hangs.calls == 2


def test_a_successor_does_not_ask_one_that_hangs_either(times: HandTimes) -> None:
    """S-290: never two calls of one source at once."""
    stage = stage_of(times, hangs=Script(0.9))
    stage.sampler.on_start()
    stage.sampler = stage.make()
    stage.sampler.on_start()
    assert stage.loop.calls == ["source-hangs"]
    stage.answer()
    assert stage.pressures() == [{"hangs": 0.9}]


@pytest.mark.parametrize("wrong", [ValueError("no"), SystemExit(), nan, "0.5", None, True, [0.5]])
def test_one_that_says_no_number_is_left_out(times: HandTimes, wrong: object, caplog: pytest.LogCaptureFixture) -> None:
    """S-290: at once; and logged once, each time that it stops working (S-444)."""
    stage = stage_of(times, wrong=Script(0.5, wrong, wrong, 0.7, wrong), works=Script(0.2))
    with caplog.at_level(logging.INFO, "millrace.sampler"):
        stage.sampler.on_start()
        stage.answer()
        stage.pass_time(4.0)
    said = [one["wrong"] for one in stage.pressures() if "wrong" in one]
    assert said == [0.5, None, None, 0.7, None]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert "'wrong'" in caplog.text
    assert stage.pressures().count({"works": 0.2}) == 5


@pytest.mark.parametrize(
    ("said", "cut"), [(-1, 0.0), (2, 1.0), (inf, 1.0), (-inf, 0.0), pytest.param(10**400, 1.0, id="long"), (1, 1.0)]
)
def test_what_they_say_is_cut(times: HandTimes, said: float, cut: float) -> None:
    """S-290: to 0..1."""
    stage = stage_of(times, source=Script(said))
    stage.sampler.on_start()
    stage.answer()
    assert stage.pressures() == [{"source": cut}]


def test_a_system_without_threads_costs_the_readings_only(times: HandTimes) -> None:
    """S-290: and they come again with the threads."""
    stage = stage_of(times, source=Script(0.5))
    stage.loop.has_threads = False
    stage.sampler.on_start()
    stage.hear()
    assert stage.pressures() == [{"source": None}]
    assert stage.first.is_set
    stage.loop.has_threads = True
    stage.pass_time(1.0)
    assert stage.pressures()[-1] == {"source": 0.5}


# Resources


def snapshot(rx: float = 0.0, tx: float = 0.0, read: float = 0.0) -> ResourceSnapshot:
    return ResourceSnapshot(0.5, read, 0.0, rx, tx)


def test_readings_of_a_sampler_are_passed_on(times: HandTimes) -> None:
    """S-285, S-289: one that raises or gives no number costs its reading only; after 10 s the dispatcher is told."""
    gone = ResourceSnapshot(nan, nan, nan, nan, nan)
    sampler = Script(snapshot(read=5.0), OSError("gone"), "much", gone, snapshot(read=7.0), OSError("gone"))
    stage = stage_of(times, resources=sampler)
    gate = IoGate()
    stage.sampler.on_start()
    stage.answer()
    stage.pass_time(4.0)
    assert [one.resources for one in stage.ears.heard] == [snapshot(read=5.0), snapshot(read=7.0)]
    for one in stage.ears.heard:
        assert one.resources is not None
        gate.reading(one.resources, times.now)
    stage.pass_time(9.0)
    assert len(stage.ears.heard) == 2
    stage.pass_time(20.0)
    assert stage.ears.heard[2:] == [Readings(None, {})]
    assert gate.resources(times.now) is None


def test_a_bandwidth_limit_makes_the_pressure_of_the_net(times: HandTimes) -> None:
    """S-291: (rx + tx) / limit, smoothed, at most 1; unknown without readings of the net."""
    sampler = Script(snapshot(20, 30), snapshot(100, 100), snapshot(nan, 5.0), snapshot(900, 900))
    stage = stage_of(times, limit=100.0, resources=sampler)
    stage.sampler.on_start()
    stage.answer()
    stage.pass_time(3.0)
    assert [one["network"] for one in stage.pressures()] == [0.5, pytest.approx(0.95), None, 1.0]
    sampler.answers = [OSError("gone")]
    stage.pass_time(20.0)
    assert stage.pressures()[-1] == {"network": None}


def test_a_source_of_the_users_comes_before_ours(times: HandTimes) -> None:
    """S-291: two sources of one name would be one that jumps."""
    stage = stage_of(times, limit=100.0, resources=Script(snapshot(100, 0)), network=Script(0.25))
    stage.sampler.on_start()
    stage.answer()
    assert stage.pressures() == [{"network": 0.25}]


# Which sources


def test_psutil_comes_with_a_bandwidth_limit(times: HandTimes, tmp_path: Path) -> None:
    """S-285, S-291: and with it, where the kernel reports IO stalls, the source "io"."""
    stalls = tmp_path / "io"
    stalls.write_text(
        "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"
    )
    for resources, limit in (("psutil", None), (None, 1e6), ("psutil", 1e6)):
        sources = sources_of({}, resources, limit, times, stalls=stalls)  # type: ignore[arg-type]  # one of the literals
        assert sources.resources is not None
        assert [source.name for source in sources.pressures] == ["io"]
        assert sources.makes_network is (limit is not None)
    assert read_stalls(stalls) == 0.125
    for text in ("", "full avg10=0.00\n", "some\n", "some avg10=x\n"):
        stalls.write_text(text)
        assert sources_of({}, "psutil", None, times, stalls=stalls).pressures == ()
    assert sources_of({}, None, None, times).all == ()


# The machine


def test_totals_are_differenced_once(times: HandTimes) -> None:
    """S-285: by the time between two samples; what is not known stays so, and the first has nothing to compare with."""
    totals = iter(
        [
            (10.0, 100.0, 1000.0, nan, 50.0, 60.0),
            (11.0, 104.0, 5000.0, nan, 50.0, 160.0),
            (11.0, 104.0, 5000.0, nan, 50.0, 160.0),
        ]
    )
    sampler = PsutilSampler(times, lambda: next(totals))
    assert isnan(sampler.sample().cpu)
    times.now += 2.0
    found = sampler.sample()
    assert (found.cpu, found.disk_read_bps, found.net_rx_bps, found.net_tx_bps) == (0.25, 2000.0, 0.0, 50.0)
    assert isnan(found.disk_write_bps)
    times.now += 1.0
    assert isnan(sampler.sample().cpu)


@pytest.mark.parametrize(("busy", "share"), [(-1e-12, 0.0), (-0.5, 0.0), (4.25, 1.0)])
def test_processors_are_used_from_not_at_all_to_all(times: HandTimes, busy: float, share: float) -> None:
    """S-285: whatever rounding, or the kernel, makes of the totals; a reading below 0 would be none."""
    totals = iter([(10.0, 100.0, 0.0, 0.0, 0.0, 0.0), (10.0 + busy, 104.0, 0.0, 0.0, 0.0, 0.0)])
    sampler = PsutilSampler(times, lambda: next(totals))
    sampler.sample()
    times.now += 1.0
    assert sampler.sample().cpu == share


def test_a_machine_without_disks_and_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-288: unknown is not 0; the machine's traffic with itself is none."""
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: {"lo": None})
    busy, spent, *moved = read_totals()
    assert 0 < busy < spent
    assert all(map(isnan, moved))


def test_a_processor_that_waits_for_a_disk_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """S-285: and a guest's time is in its host's already."""
    times = namedtuple("times", "user system idle iowait guest")(8.0, 2.0, 70.0, 20.0, 5.0)  # noqa: PYI024 - as psutil's
    monkeypatch.setattr(psutil, "cpu_times", lambda: times)
    assert read_totals()[:2] == (10.0, 100.0)


# With threads


@pytest.fixture
def running() -> Iterator[Callable[[Sources, Ears, Reply[None]], Sampler]]:
    """Samplers in threads of their own, stopped at the end."""
    ended = threading.Event()
    samplers: list[Sampler] = []

    def run(sources: Sources, ears: Ears, first: Reply[None]) -> Sampler:
        sampler = Sampler(
            Mailbox("sampler"),
            ThreadLoop(),
            lambda actor, error: ended.set(),
            times=SystemTimes(),
            sources=sources,
            dispatcher=ears,
            first=first,
        )
        samplers.append(sampler)
        sampler.launch()
        return sampler

    yield run
    for sampler in samplers:
        sampler.stop()
        assert ended.wait(WAIT_S)


def test_a_source_that_hangs_in_its_thread(running: Callable[..., Sampler]) -> None:
    """S-290: the others are heard, and so is it when it has come back."""
    release, entered = threading.Event(), threading.Event()

    def hang() -> float:
        entered.set()
        release.wait(WAIT_S)
        return 0.75

    ears, first = Ears(), Reply[None]()
    running(sources_of({"hangs": hang, "works": lambda: 0.25}, None, None, SystemTimes()), ears, first)
    try:
        ears.await_one(lambda one: one.pressures.get("works") == 0.25)
        assert entered.wait(WAIT_S)
        assert first.wait(WAIT_S)
        assert not any("hangs" in one.pressures for one in ears.heard)
    finally:
        release.set()
    ears.await_one(lambda one: one.pressures.get("hangs") == 0.75)


def test_this_machine(running: Callable[..., Sampler]) -> None:
    """S-285, S-291: psutil's numbers make a reading that the gate takes, and a pressure of the net."""
    times, ears, first = SystemTimes(), Ears(), Reply[None]()
    running(sources_of({}, "psutil", 1e12, times), ears, first)
    reading = ears.await_one(lambda one: one.resources is not None)
    assert first.is_set
    assert reading.resources is not None
    assert 0.0 <= reading.resources.cpu <= 1.0
    gate, pressure = IoGate(), Pressure()
    gate.reading(reading.resources, times.monotonic())
    assert gate.resources(times.monotonic()) is not None
    pressure.told(reading.pressures, times.monotonic())
    assert 0.0 <= pressure.value(times.monotonic()) <= 1.0
