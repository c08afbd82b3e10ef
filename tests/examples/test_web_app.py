"""examples/web_app.py: a web application submits, shows and cancels; over a real HTTP server, in threads."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from werkzeug.serving import make_server

from millrace import Cancelled, Completed, Failed, Progress, Scheduler


@dataclass
class Site:
    """The application, served; and its scheduler."""

    url: str
    scheduler: Scheduler

    def ask(self, method: str, path: str, **form: object) -> tuple[int, Any]:
        """The status and the JSON, or the text, of an answer."""
        data = urlencode(form).encode() if form else None
        try:
            with urlopen(Request(self.url + path, data=data, method=method), timeout=30) as answer:
                status, kind, body = answer.status, answer.headers.get_content_type(), answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        return status, json.loads(body) if kind == "application/json" else body


@pytest.fixture
def site(web_app: ModuleType, tmp_path: Path) -> Iterator[Site]:
    with Scheduler(tmp_path / "web.db", domains=[web_app.numbers], progress_interval=0.01) as scheduler:
        server = make_server("127.0.0.1", 0, web_app.make_app(scheduler), threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Site(f"http://127.0.0.1:{server.server_port}", scheduler)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.mark.parametrize(("below", "count"), [(0, 0), (2, 0), (3, 1), (100, 25), (200_000, 17_984)])
def test_what_is_submitted_is_counted(site: Site, below: int, count: int) -> None:
    """A number is counted beside the request, and the result is shown by the API and on the page."""
    with site.scheduler.subscribe(kinds=[Completed]) as events:
        status, answer = site.ask("POST", "/counts", below=below)
        assert (status, answer["kind"]) == (202, "inserted")
        events.get(timeout=30)
    status, shown = site.ask("GET", answer["url"])
    assert (status, shown["status"], shown["result"], shown["progress"]) == (200, "completed", count, 1.0)
    status, page = site.ask("GET", "/")
    assert status == 200
    assert f"primes below {below:,}" in page


def test_a_long_count_shows_progress_and_is_cancelled(site: Site) -> None:
    """While it runs its progress is shown; a second submit joins it; a cancel ends it, and a second cancel is told so."""
    with site.scheduler.subscribe(kinds=[Progress, Cancelled]) as events:
        _, first = site.ask("POST", "/counts", below=10**9)
        _, second = site.ask("POST", "/counts", below=10**9)
        assert (second["kind"], second["id"]) == ("rejected", first["id"])
        assert isinstance(events.get(timeout=30), Progress)
        _, shown = site.ask("GET", first["url"])
        assert shown["status"] == "running"
        assert 0.0 < shown["progress"] < 1.0
        assert "<progress value=" in site.ask("GET", "/")[1]
        assert site.ask("DELETE", first["url"])[0] == 202
        while not isinstance(events.get(timeout=30), Cancelled):
            pass
    assert site.ask("GET", first["url"])[1]["status"] == "cancelled"


def test_a_count_that_has_ended_cannot_be_cancelled(site: Site) -> None:
    """409, with the reason in words."""
    with site.scheduler.subscribe(kinds=[Completed]) as events:
        _, answer = site.ask("POST", "/counts", below=100)
        events.get(timeout=30)
    status, body = site.ask("DELETE", answer["url"])
    assert status == 409
    assert '"accepted":false' in body


def test_a_failure_is_shown(site: Site) -> None:
    """A number too large is a permanent failure, and its error is on the page."""
    with site.scheduler.subscribe(kinds=[Failed]) as events:
        _, answer = site.ask("POST", "/counts", below=10**9 + 1)
        assert not events.get(timeout=30).will_retry
    _, shown = site.ask("GET", answer["url"])
    assert shown["status"] == "failed"
    assert "expected a number up to 1,000,000,000" in shown["error"]


@pytest.mark.parametrize(
    ("method", "path", "form", "status"),
    [("POST", "/counts", {"below": "many"}, 400), ("GET", "/counts/77", {}, 404), ("DELETE", "/counts/77", {}, 404)],
)
def test_bad_requests_are_refused(site: Site, method: str, path: str, form: dict[str, object], status: int) -> None:
    """What is no number, or no count, is answered so, and nothing is submitted."""
    assert site.ask(method, path, **form)[0] == status
    assert site.scheduler.count() == 0
