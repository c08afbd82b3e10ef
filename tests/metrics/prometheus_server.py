"""A real Prometheus, started for a test: scrapes an address every second and answers queries."""

import json
import queue
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from promtool import program

WAIT_S = 60.0
READY = "Server is ready to receive web requests"
LISTENS = re.compile(r"Listening on.*address=([\d.:]+)")


def free_port() -> int:
    """A port that nobody has: a program that is started again and again on one has to be told which."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Prometheus:
    """See the module.

    Args:
        folder: for its data and configuration.
        target: host and port that it scrapes ``/metrics`` of.
        rules: text of a rule file, or none.
        interval: between scrapes.
    """

    def __init__(self, folder: Path, target: str, *, rules: str = "", interval: str = "1s") -> None:
        (folder / "rules.yml").write_text(rules or "groups: []\n")
        (folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {interval}, evaluation_interval: {interval}}}\n"
            "rule_files: [rules.yml]\n"
            f"scrape_configs: [{{job_name: millrace, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        self._folder = folder
        self._address: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._url = ""
        self._said: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log)
        self._reader.start()
        try:
            self._url = f"http://{self._address.get(timeout=WAIT_S)}"
        except queue.Empty:
            self.__exit__(None, None, None)
            raise AssertionError(f"Prometheus did not start: {''.join(self._said[-20:])}") from None
        return self

    def _read_log(self) -> None:
        """Its log tells the port that it took and when it is ready."""
        address = ""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)
            found = LISTENS.search(line)
            if found is not None and not address:
                address = found[1]
            if READY in line:
                self._address.put(address)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        assert self._process.stderr is not None
        self._process.stderr.close()

    def get(self, path: str, **parameters: str) -> Any:
        """The data of its HTTP API."""
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
            return json.load(answer)["data"]

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """The series of an expression now: labels and value."""
        return [(one["metric"], float(one["value"][1])) for one in self.get("query", query=expr)["result"]]

    def value(self, expr: str) -> float | None:
        """The one value of an expression now; None where there is none."""
        found = self.query(expr)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def scrapes(self, expr: str, since: str = "10m") -> list[list[tuple[float, float]]]:
        """Every sample of each series of a plain selector, as it was scraped: time and value."""
        found = self.get("query", query=f"{expr}[{since}]")["result"]
        return [[(float(at), float(value)) for at, value in one["values"]] for one in found]

    def await_scrapes(self, wanted: int) -> None:
        """Until so many scrapes of the target, in all, have gone well."""
        deadline = time.monotonic() + WAIT_S
        while (found := sum(value for samples in self.scrapes("up") for _, value in samples)) < wanted:
            assert time.monotonic() < deadline, f"{found} scrapes, expected {wanted}"
            assert self._process.poll() is None, "".join(self._said[-20:])
            time.sleep(0.1)

    def await_value(self, expr: str, wanted: float) -> None:
        """Until an expression has that value; scrapes come every second, and nobody tells of them."""
        deadline = time.monotonic() + WAIT_S
        while (value := self.value(expr)) != wanted:
            assert time.monotonic() < deadline, f"{expr} is {value}, expected {wanted}"
            assert self._process.poll() is None, "".join(self._said[-20:])
            time.sleep(0.1)
