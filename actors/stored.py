"""What callers hear of a submission."""

import msgspec

from millrace.model.errors import MillraceError
from millrace.model.statuses import SubmitKind


class Stored(msgspec.Struct, frozen=True):
    """What became of one submission: the kind, the task that holds the key, and the task it replaced."""

    kind: SubmitKind
    id: int
    replaced: int | None = None
    group_paused: bool = False


class RunOver(MillraceError):
    """A run spawned that is over, or was given up: its submission came too late. Callers hear of it in other words."""

    def __init__(self, task_id: int, run: int) -> None:
        super().__init__(f"run {run} of task {task_id} is over: nothing that it spawns is stored any more")
        self.task_id = task_id
        self.run = run
