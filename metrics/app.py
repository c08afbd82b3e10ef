"""``/metrics``, ``/healthz`` and ``/readyz`` as a WSGI application, to be mounted or served by ``millrace.metrics.Server``.

It reads and never acts. It has no authentication: what mounts it decides who may ask.
"""

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from millrace.metrics.exporter import Exporter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"


class App:
    """See the module. From any thread.

    | path | answer |
    |---|---|
    | ``/metrics`` | all series; as OpenMetrics and compressed where the request says that it takes that |
    | ``/healthz`` | 200 while every scheduler is alive; 503 and which are not, where one has failed or its loop is stuck |
    | ``/readyz`` | 200 while every scheduler runs tasks; 503 and which do not |

    Args:
        exporter: of the schedulers.
    """

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._pages: dict[str, Callable[[WSGIEnvironment], _Answer]] = {
            "/metrics": self._metrics,
            "/healthz": lambda _: _verdict({name: reader.illness() for name, reader in exporter.readers().items()}),
            "/readyz": lambda _: _verdict({name: reader.unready() for name, reader in exporter.readers().items()}),
        }

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """See PEP 3333."""
        page = self._pages.get(str(environ.get("PATH_INFO", "")))
        if page is None:
            answer = _Answer(HTTPStatus.NOT_FOUND, f"there are {', '.join(self._pages)}\n".encode())
        elif environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            answer = _Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"expected GET or HEAD\n", headers=[("Allow", "GET, HEAD")])
        else:
            answer = page(environ)
        body = answer.body
        start_response(
            f"{answer.status.value} {answer.status.phrase}",
            [
                ("Content-Type", answer.content_type),
                ("Content-Length", str(len(body))),
                ("Vary", "Accept, Accept-Encoding"),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                *answer.headers,
            ],
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _metrics(self, environ: "WSGIEnvironment") -> "_Answer":
        is_openmetrics = "application/openmetrics-text" in _accepted(environ, "HTTP_ACCEPT")
        is_compressed = "gzip" in _accepted(environ, "HTTP_ACCEPT_ENCODING")
        return _Answer(
            HTTPStatus.OK,
            self._exporter.body(is_openmetrics=is_openmetrics, is_compressed=is_compressed),
            content_type=OPENMETRICS if is_openmetrics else PLAIN,
            headers=[("Content-Encoding", "gzip")] if is_compressed else [],
        )


class _Answer:
    def __init__(
        self,
        status: HTTPStatus,
        body: bytes,
        *,
        content_type: str = TEXT,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers


def _verdict(troubles: dict[str, str | None]) -> _Answer:
    """200 where nothing is wrong, else what is wrong with whom, a line each."""
    lines = [f"{name}: {trouble}\n" for name, trouble in troubles.items() if trouble is not None]
    return _Answer(HTTPStatus.SERVICE_UNAVAILABLE if lines else HTTPStatus.OK, ("".join(lines) or "ok\n").encode())


def _accepted(environ: "WSGIEnvironment", header: str) -> set[str]:
    """What a header of preferences names, without that which it gives the weight 0."""
    accepted: set[str] = set()
    for part in str(environ.get(header, "")).lower().split(","):
        what, *parameters = (piece.strip() for piece in part.split(";"))
        weights = [parameter[2:].strip() for parameter in parameters if parameter.startswith("q=")]
        if not any(weight.strip("0.") == "" for weight in weights):
            accepted.add(what)
    return accepted
