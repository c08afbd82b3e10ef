"""What Prometheus is given: both formats, checked by Prometheus' own parsers and by promtool."""

from __future__ import annotations

import gc
import gzip
import http.client
import io
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from promtool import promtool
from staging import WAIT_S, Stage

from millrace import Context, Domain, Retry, Scheduler
from millrace.metrics import App, Exporter, Server, export
from millrace.metrics.exposition import Exposition
from millrace.metrics.readings import Readings
from millrace.model.families import FAMILIES, PREFIX
from millrace.model.histograms import Histogram

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def worked(stage: Stage, domain: Domain) -> Scheduler:
    """A scheduler that has run two tasks, one of them with a name that has to be quoted."""

    @domain.task()
    def quick(ctx: Context) -> None:
        pass

    @domain.task(retry=Retry.none())
    def fails(ctx: Context) -> None:
        raise ValueError("it broke")

    scheduler = stage.started(domain, name='100 % "tests" \\ and\nlines')
    for outcome in (scheduler.submit(quick), scheduler.submit(fails)):
        outcome.wait(WAIT_S)
    return scheduler


def samples(families: Any) -> Samples:
    """All samples but those that are another at each reading."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.startswith("millrace_collector_duration")
    }


def names(text: str) -> set[str]:
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def test_both_formats_say_the_same_as_prometheus_clients(worked: Scheduler) -> None:
    """Each is what prometheus_client's own parser reads back, and the same series as its own expositions of the collector."""
    registry = CollectorRegistry()
    exporter = export(worked, registry)
    text, openmetrics = exporter.text(), exporter.text(is_openmetrics=True)
    ours = samples(parse_openmetrics(openmetrics))
    assert ours == samples(parse_openmetrics(generate_openmetrics(registry).decode()))
    assert samples(parse_text(text)) == samples(parse_text(generate_latest(registry).decode())) == ours
    assert len(ours) > 100
    label = ("scheduler", '100 % "tests" \\ and\nlines')
    assert all(label in labels for _, labels in ours)


def test_promtool_finds_nothing(worked: Scheduler) -> None:
    """Names, types, help and units are as Prometheus' own guidance has them."""
    checked = promtool("check", "metrics", given=Exporter(worked).text())
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_nothing_generated_is_exposed(worked: Scheduler) -> None:
    """No _created series, and no label but those of the table and the scheduler's name."""
    text = Exporter(worked).text()
    assert "_created" not in text
    for name, labels in samples(parse_text(text)):
        bare = name.removeprefix(PREFIX)
        family = FAMILIES.get(bare) or FAMILIES[bare.rpartition("_")[0]]
        assert {label for label, _ in labels} - {"le"} == {"scheduler", *family.labels}, name


def test_every_family_that_has_series_is_of_the_table(worked: Scheduler) -> None:
    """The names on the wire are those of the table with the prefix."""
    assert {name.removeprefix(PREFIX) for name in names(Exporter(worked).text())} <= set(FAMILIES)


_labels = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["a::x", "a::y", "b::z"]))


def _readings(numbers: dict[Any, float], measured: dict[Any, list[float]]) -> Readings:
    """One family of either kind, the others without series."""
    bounds = FAMILIES["run_duration_seconds"].bounds
    histograms: dict[Any, Histogram] = {}
    for labels, values in measured.items():
        histograms[labels] = Histogram(bounds)
        histograms[labels].observe_all(values)
    empty = {name: {} for name in FAMILIES}
    return Readings({**empty, "retries_total": numbers}, {**empty, "run_duration_seconds": histograms})


@given(
    st.lists(
        st.tuples(
            st.dictionaries(_labels, st.sampled_from([0.0, 1.0, 2.5])),
            st.dictionaries(_labels, st.lists(st.sampled_from([0.0, 0.25, 7.0]), max_size=2)),
        ),
        min_size=2,
        max_size=4,
    )
)
def test_what_was_written_before_shows_nowhere(several: list[tuple[Any, Any]]) -> None:
    """Values change, series come, go and change places: each time the text is what one who writes the first time writes."""
    kept = Exposition()
    for is_openmetrics in (False, True):
        for numbers, measured in several:
            read = [("s", _readings(numbers, measured))]
            blocks = kept.render(read, is_openmetrics=is_openmetrics)
            assert blocks == Exposition().render(read, is_openmetrics=is_openmetrics)
            assert b"".join(blocks).count(b"millrace_retries_total{") == len(numbers)


def test_blocks_without_a_change_are_the_same_as_before() -> None:
    """Of 300 series a value changes: two of the three blocks of lines are the very objects that were given before."""
    values = {("a", f"a::{number:03}"): 0.0 for number in range(300)}
    kept = Exposition()
    before = kept.render([("s", _readings(values, {}))], is_openmetrics=False)
    values["a", "a::150"] = 1.0
    after = kept.render([("s", _readings(values, {}))], is_openmetrics=False)
    same = {id(block) for block in before}
    changed = [block for block in after if b"# TYPE" not in block and id(block) not in same]
    assert len(changed) == 1
    assert b'task="a::150"} 1.0\n' in changed[0]
    assert changed[0].count(b"\n") == 100
    assert len(after) == len(before) == 4


# Several schedulers


def test_schedulers_of_one_process_share_one_collector(stage: Stage, worked: Scheduler, tmp_path: Any) -> None:
    """Each family once, with the series of both; a second one of the same name is refused."""
    registry = CollectorRegistry()
    exporter = export(worked, registry)
    other = stage.scheduler(Domain("other"), path=str(tmp_path / "other.db"), name="second")
    assert export(other, registry) is exporter
    assert export(other, registry) is exporter, "again is nothing"
    text = generate_latest(registry).decode()
    assert text.count("# TYPE millrace_owner gauge") == 1
    assert 'millrace_owner{scheduler="second"} 0.0' in text
    same = stage.scheduler(path=str(tmp_path / "third.db"), name="second")
    with pytest.raises(ValueError, match=r"expected a name that no other .* 'second' again; .*Scheduler\(name="):
        export(same, registry)
    exporter.remove(other)
    assert 'scheduler="second"' not in exporter.text()


def test_registering_reads_nothing(stage: Stage, tmp_path: Any) -> None:
    """A collector that is registered before the start touches no store; it stands beside others on the registry."""
    registry = CollectorRegistry(auto_describe=True)
    scheduler = stage.scheduler(path=str(tmp_path / "untouched.db"))
    export(scheduler, registry)
    Counter("mine", "Of the application.", registry=registry).inc()
    assert not (tmp_path / "untouched.db").exists()
    text = generate_latest(registry).decode()
    assert "mine_total 1.0" in text
    assert "millrace_owner" in text
    assert not (tmp_path / "untouched.db").exists()


def test_what_was_read_is_given_for_a_second(worked: Scheduler) -> None:
    """Scrapes that come faster read nothing anew."""
    now = [0.0]
    exporter = Exporter(worked, monotonic=lambda: now[0])
    first, body = exporter.text(), exporter.body()
    worked._runtime.tally.count("batches")
    assert exporter.text() == first
    assert exporter.body() is body
    assert gzip.decompress(exporter.body(is_compressed=True)) == body
    assert samples(parse_openmetrics(exporter.text(is_openmetrics=True))) == samples(parse_text(first))
    now[0] = 1.0
    assert samples(parse_text(exporter.text())) != samples(parse_text(first))


def test_under_a_preforking_server_only_the_owner_exports(
    stage: Stage, worked: Scheduler, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PROMETHEUS_MULTIPROC_DIR a scheduler that does not run its store here has no series here."""
    idle = stage.scheduler(path=str(tmp_path / "idle.db"), name="idle")
    assert 'scheduler="idle"' in Exporter(worked, idle).text()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    text = Exporter(worked, idle).text()
    assert 'scheduler="idle"' not in text
    assert "millrace_owner{" in text


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_exports_nothing(worked: Scheduler) -> None:
    """It has no actors and no threads: what it could say would be the parent's, and wrong."""
    exporter = Exporter(worked)
    child = os.fork()
    if child == 0:
        os._exit(0 if exporter.text() == "" else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


# The application


def ask(app: App, path: str, method: str = "GET", **headers: str) -> tuple[str, dict[str, str], bytes]:
    """A request through wsgiref's validator: status, headers, body."""
    told: list[Any] = []
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        told.append((status, dict(headers)))
        return lambda _: None

    answer = validator(app)(environ, start_response)
    body = b"".join(answer)
    answer.close()  # type: ignore[attr-defined]  # the validator's own
    return told[0][0], told[0][1], body


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("application/openmetrics-text;q=0", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_metrics_are_in_the_format_that_is_asked_for(worked: Scheduler, accept: str, content_type: str) -> None:
    """OpenMetrics where the scraper takes it, else the older text."""
    status, headers, body = ask(App(Exporter(worked)), "/metrics", accept=accept)
    assert (status, headers["Content-Type"]) == ("200 OK", content_type)
    assert headers["Content-Length"] == str(len(body))
    assert body.endswith(b"# EOF\n") == ("openmetrics" in content_type)


def test_metrics_are_compressed_for_who_takes_that(worked: Scheduler) -> None:
    """As Prometheus asks for it; not where the request refuses it."""
    app = App(Exporter(worked))
    _, headers, body = ask(app, "/metrics", accept_encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == ask(app, "/metrics")[2]
    assert b"millrace_owner" in gzip.decompress(body)
    _, headers, body = ask(app, "/metrics", accept_encoding="gzip;q=0")
    assert "Content-Encoding" not in headers
    assert b"millrace_owner" in body


def test_what_is_not_there_and_what_is_not_read(worked: Scheduler) -> None:
    """Other paths and methods are refused in words; HEAD has no body."""
    app = App(Exporter(worked))
    assert ask(app, "/")[0] == "404 Not Found"
    assert b"/metrics, /healthz, /readyz" in ask(app, "/")[2]
    status, headers, _ = ask(app, "/metrics", "POST")
    assert (status, headers["Allow"]) == ("405 Method Not Allowed", "GET, HEAD")
    assert ask(app, "/metrics", "HEAD")[2] == b""


def test_health_and_readiness(stage: Stage, domain: Domain) -> None:
    """Alive before, during and after a run; ready only while it runs; each with the name and the reason."""
    scheduler = stage.scheduler(domain, name="mine")
    app = App(Exporter(scheduler))
    assert ask(app, "/healthz")[0] == "200 OK"
    assert ask(app, "/readyz")[0::2] == ("503 Service Unavailable", b"mine: expected it to run, it is new\n")
    with scheduler:
        assert ask(app, "/readyz")[0::2] == ("200 OK", b"ok\n")
    assert ask(app, "/readyz")[2] == b"mine: expected it to run, it is stopped\n"
    assert ask(app, "/healthz")[0] == "200 OK"


def test_a_dispatcher_that_does_not_answer_is_no_health(
    stage: Stage, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is up and its loop is stuck: 503 once it has been silent for a minute."""
    scheduler = stage.started(domain, name="mine")
    app = App(Exporter(scheduler))
    monkeypatch.setattr(scheduler._runtime.dispatcher, "silent_s", lambda: 61.0)
    assert ask(app, "/healthz")[0::2] == (
        "503 Service Unavailable",
        b"mine: its dispatcher has not answered for 61 s\n",
    )
    assert ask(app, "/readyz")[0] == "503 Service Unavailable"


# The server


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture
def server(worked: Scheduler) -> Iterator[Server]:
    with Server(App(Exporter(worked))) as served:
        yield served


def test_the_server_answers_many_at_once(server: Server) -> None:
    """Each request has a thread; all get the metrics."""
    answers: list[tuple[int, bytes]] = []
    threads = [threading.Thread(target=lambda: answers.append(fetch(server.url))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert [status for status, _ in answers] == [200] * 8
    assert all(b"millrace_owner" in body for _, body in answers)


def test_the_server_says_only_what_it_is(server: Server) -> None:
    """Not which Python it runs on, in an answer or in an error."""
    for path in ("/metrics", "/nothing"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
        connection.request("GET", path)
        headers = connection.getresponse().headers
        assert headers.get_all("Server") == ["millrace"]
        connection.close()


def test_many_may_wait_for_the_server(worked: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody takes connections, forty clients are connected at once: none has to try again, which would take a second."""

    def take_nothing(_self: Server, _server: object, ear: socket.socket) -> None:
        with ear:
            ear.recv(1)  # until the stop

    monkeypatch.setattr(Server, "_serve", take_nothing)
    with Server(App(Exporter(worked))) as server, ExitStack() as clients:
        for _ in range(40):
            clients.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5.0))


def test_the_server_is_on_loopback_and_stops(server: Server) -> None:
    """Unless told otherwise nobody else reaches it; after a stop the port is free, and it can start again."""
    assert server.url.startswith("http://127.0.0.1:")
    port = server.port
    server.stop()
    server.stop()
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_S)
    with pytest.raises(RuntimeError, match="call start"):
        assert server.port
    server.start()
    assert fetch(server.url.replace("/metrics", "/healthz")) == (200, b"ok\n")


@pytest.mark.leaves_threads("nobody can stop a server that nobody has")
def test_a_server_that_nobody_keeps_goes_on(worked: Scheduler) -> None:
    """Started in one line of a program and forgotten, it serves as long as the program runs."""
    url = Server(App(Exporter(worked))).start().url
    gc.collect()
    assert fetch(url)[0] == 200


def test_a_port_that_is_taken_is_named(server: Server, worked: Scheduler) -> None:
    """The error says where it was to serve."""
    with pytest.raises(OSError, match=rf"cannot serve metrics on 127\.0\.0\.1:{server.port}: "):
        Server(App(Exporter(worked)), port=server.port).start()
