"""What the library logs, on standard error: warnings in one line each, tracebacks only with `--debug`."""

import logging
import sys

from millrace.cli.controls import escaped


class _Lines(logging.Handler):
    """Writes to what standard error is at that moment: a progress line stands in for it and stays below the text."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = "\n".join(escaped(line) for line in self.format(record).split("\n"))
            print(text, file=sys.stderr)  # noqa: T201 - what this is for
        except Exception:  # noqa: BLE001 - a handler must not raise: logging's own report is all there is left
            self.handleError(record)


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        text = record.getMessage() if error is None else f"{record.getMessage()}: {type(error).__name__}: {error}"
        return f"millrace: {' '.join(text.split())}"


_handler = _Lines(logging.WARNING)


def show_logs(*, debug: bool = False) -> None:
    """Shows them from now on; the last call counts."""
    _handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s") if debug else _OneLine())
    logging.getLogger("millrace").addHandler(_handler)
