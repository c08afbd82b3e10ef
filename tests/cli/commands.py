"""Runs commands in this process, on stores that the tests make."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from millrace.cli import main


@dataclass(frozen=True)
class Done:
    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """What `--json` printed."""
        assert self.code == 0, self.errors
        (line,) = self.output.splitlines()
        return json.loads(line)


def command(*words: object, db: Path | None = None, answers: str | None = None) -> Done:
    """Run `millrace WORDS --db DB`."""
    arguments = [str(word) for word in words] + ([] if db is None else ["--db", str(db)])
    result = CliRunner().invoke(main, arguments, input=answers, prog_name="millrace")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def environment(db: Path) -> dict[str, str]:
    """For a process that has the program `jobs`, on that store."""
    return {"JOBS_DB": str(db), "PYTHONPATH": str(Path(__file__).parent)}
