"""`millrace metrics`: a stand-alone exporter over a store, whoever runs it."""

import signal
from pathlib import Path

import click

from millrace.cli.asking import host_and_port, wall_ms
from millrace.cli.errors import debug_option
from millrace.cli.output import db_option
from millrace.viewer import Viewer


@click.command("metrics")
@click.option(
    "--listen",
    "address",
    default="127.0.0.1:9464",
    show_default=True,
    metavar="HOST:PORT",
    callback=host_and_port,
    help="Where to serve. Without authentication: a loopback address, or a trusted network.",
)
@click.option(
    "--name",
    default="default",
    show_default=True,
    help="The label scheduler: what the program calls its own, Scheduler(name=...), as the store does not say it.",
)
@db_option
@debug_option
def command(*, address: tuple[str, int], name: str, db: Path) -> None:
    """Serve what the store says at /metrics, until SIGINT or SIGTERM.

    Queue, schedules and file sizes, and at /readyz whether anybody runs it. What only the process that runs it knows, such as all
    that it counts, it serves itself with `run --metrics`.
    """
    from millrace.metrics import App, Exporter, Server  # noqa: PLC0415 - only who serves them need load them
    from millrace.metrics.beside import StoreReader  # noqa: PLC0415

    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before there are threads, which inherit it
    with Viewer(db) as viewer:
        reader = StoreReader(name, viewer, wall_ms=wall_ms)
        server = Server(App(Exporter(reader)), host=address[0], port=address[1]).start()
        click.echo(f"metrics on {server.url}", err=True)
        signal.sigwait(signals)
        server.stop()
