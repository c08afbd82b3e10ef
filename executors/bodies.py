"""What an executor needs of the user's functions: the api layer provides it, so that no executor knows a task's code."""

from typing import Protocol

from millrace.executors.run import Run
from millrace.model.outcomes import RunOutcome


class Bodies(Protocol):
    """Calls the functions of tasks. From any thread."""

    def run(self, run: Run) -> RunOutcome:
        """Call the function of the run and say how it ended; never raises."""
        ...

    def given_up(self, run: Run, why: str) -> RunOutcome:
        """The outcome to record of a run whose thread did not stop."""
        ...

    def timeout_s(self, run: Run) -> float | None:
        """Seconds that the run may take; None: as long as it likes."""
        ...
