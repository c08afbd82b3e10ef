"""`millrace grafana`: the Grafana dashboard, on standard output."""

import click

from millrace.cli.errors import debug_option
from millrace.metrics.dashboard import dashboard_json


@click.command("grafana")
@debug_option
def command() -> None:
    """Print the Grafana dashboard that comes with millrace, as JSON to be imported.

    It asks for the Prometheus data source and the schedulers at its top.
    """
    click.echo(dashboard_json(), nl=False)
