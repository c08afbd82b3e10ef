"""A small HTTP server for `App`, on a port of its own: on this machine only, unless it is told otherwise."""

import logging
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from millrace.metrics.app import App
from millrace.model.numbers import check_whole

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger("millrace.metrics")

NAME: Final = "millrace"

BACKLOG: Final = 128
"""Connections that may wait to be taken. With wsgiref's 5, of twenty clients at once some try again only after a second."""

PATIENCE_S: Final = 10.0
"""Seconds that a client has to send its request and to take the answer."""


class Server:
    """Serves an `App` from threads of its own, between ``start()`` and ``stop()``.

    Args:
        app: what is served.
        host: the address to bind; 127.0.0.1 is not reached from other machines. There is no authentication: give another
            one only where the network is trusted.
        port: 0 takes one that is free: see ``port`` once it has started. At most 65535.

    Raises:
        ValueError, TypeError: there is no such port.
    """

    def __init__(self, app: App, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._app = app
        self._host = host
        self._wanted = check_whole(port, "port", least=0, most=65535)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._stopper: socket.socket | None = None
        """Closing it ends the thread."""

    def start(self) -> Self:
        """Bind and serve. Repeated, it does nothing.

        Raises:
            OSError: the address cannot be bound; the message names it.
        """
        if self._server is None:
            try:
                server = _server_class(self._host)((self._host, self._wanted), _Handler)
            except OSError as error:
                raise OSError(
                    error.errno, f"cannot serve metrics on {self._host}:{self._wanted}: {error.strerror or error}"
                ) from error
            server.set_app(self._answer)
            self._server = server
            self._stopper, ear = socket.socketpair()
            self._thread = threading.Thread(
                target=self._serve, args=(server, ear), name="millrace-metrics", daemon=True
            )
            self._thread.start()
        return self

    def stop(self) -> None:
        """Serve no more, and free the port. Idempotent."""
        server, thread, stopper = self._server, self._thread, self._stopper
        self._server = self._thread = self._stopper = None
        if server is not None and thread is not None and stopper is not None:
            stopper.close()
            thread.join()
            server.server_close()

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """As the application does, but under our own name: wsgiref's header tells everybody which Python this is."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, ("Server", NAME)], *error)

        return self._app(environ, start)

    def _serve(self, server: "_Server", ear: socket.socket) -> None:
        """Until the other end of the pair is closed. ``serve_forever`` would look twice a second whether it is to stop.

        A method, so that the thread keeps this object and with it the other end: who keeps no reference still has a server.
        """
        with selectors.DefaultSelector() as selector, ear:
            selector.register(server, selectors.EVENT_READ)
            selector.register(ear, selectors.EVENT_READ)
            while all(key.fileobj is server for key, _ in selector.select()):
                server.handle_request()

    @property
    def port(self) -> int:
        """The port that it serves on; RuntimeError where it does not serve."""
        if self._server is None:
            raise RuntimeError("expected a server that has started; call start()")
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where ``/metrics`` is."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}/metrics"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = BACKLOG

    def server_bind(self) -> None:
        """As wsgiref's, but without asking a name server who we are."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or worse: the log says so, standard error stays clean."""
        del request
        log.debug("a request from %s failed: %r", client_address, sys.exception())


class _Server6(_Server):
    address_family = socket.AF_INET6


def _server_class(host: str) -> type[_Server]:
    return _Server6 if ":" in host else _Server


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_S
    server_version = NAME
    sys_version = ""

    def log_message(self, format: str, *args: Any) -> None:
        """Not on standard error."""
        log.debug(format, *args)

    def address_string(self) -> str:
        """Without asking a name server."""
        return str(self.client_address[0])
