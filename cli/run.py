"""`millrace run`: an application's scheduler in the foreground."""

import logging

import click

from millrace.cli.application import load_scheduler
from millrace.cli.asking import Seconds, host_and_port
from millrace.cli.errors import debug_option

log = logging.getLogger("millrace")


@click.command("run")
@click.argument("app", metavar="MODULE:SCHEDULER")
@click.option(
    "--metrics",
    "address",
    metavar="HOST:PORT",
    callback=host_and_port,
    help="Serve /metrics, /healthz and /readyz there. Without authentication: a loopback address, or a trusted network.",
)
@click.option(
    "--grace",
    type=Seconds(),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that running tasks have to end at the first signal; then they are interrupted.",
)
@debug_option
def command(*, app: str, address: tuple[str, int] | None, grace: float) -> None:
    """Run a scheduler until SIGINT or SIGTERM; the first drains, a second one stops at once.

    Exit code 0: it has stopped. 1: an error. 3: another process runs its store.
    """
    scheduler = load_scheduler(app)
    server = None
    if address is not None:
        from millrace.metrics import App, Exporter, Server  # noqa: PLC0415 - only who serves them need load them

        server = Server(App(Exporter(scheduler)), host=address[0], port=address[1]).start()
        click.echo(f"metrics on {server.url}", err=True)
    try:
        scheduler.run(grace)
    finally:
        if server is not None:
            server.stop()
    if scheduler.__metrics__().illness() is not None:
        raise click.ClickException("the scheduler has failed; what was acknowledged is in the store")
