"""`millrace alerts`: the alert rules, on standard output."""

import click

from millrace.cli.errors import debug_option
from millrace.metrics.alert_tests import test_file
from millrace.metrics.alerts import rule_file


@click.command("alerts")
@click.option(
    "--tests",
    "rules",
    metavar="RULES",
    help="Print the rules' own tests instead, for `promtool test rules`; RULES is the file that the rules are in.",
)
@debug_option
def command(*, rules: str | None) -> None:
    """Print the alert rules that come with millrace, for Prometheus' rule_files.

    They name no scheduler: one file serves all. Change the thresholds to what the application promises.
    """
    click.echo(rule_file() if rules is None else test_file(rules), nl=False)
