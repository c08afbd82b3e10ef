"""`millrace metrics`: a stand-alone exporter over a store, whoever runs it."""

import signal
from pathlib import Path

import click

from millrace.cli.asking import acting, host_and_port
from millrace.cli.errors import debug_option
from millrace.cli.output import db_option


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
@db_option
@debug_option
def command(*, address: tuple[str, int], db: Path) -> None:
    """Serve what the store says at /metrics, until SIGINT or SIGTERM.

    Queue, schedules and file sizes; what only the process that runs it knows, it serves itself with `run --metrics`.
    """
    from millrace.metrics import App, Exporter, Server  # noqa: PLC0415 - only who serves them need load them

    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before there are threads, which inherit it
    with acting(db) as scheduler:
        scheduler.count()  # opens the store: a scrape would not
        server = Server(App(Exporter(scheduler)), host=address[0], port=address[1]).start()
        click.echo(f"metrics on http://{address[0]}:{server.port}/metrics", err=True)
        signal.sigwait(signals)
        server.stop()
