"""What is paused: the statements of the writing connection for it, and what readers see of it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from millrace.model.pauses import Pause, Scope
from millrace.store.named import Named, chunks, json_text
from millrace.store.readers import Readers
from millrace.store.statements import SQL

_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_groups = msgspec.json.Decoder(list[tuple[int, str]]).decode
_SUFFIX: Final[dict[Scope, str]] = {"scheduler": "", "domain": "_of_domain", "group": "_of_group"}


def read_pauses(readers: Readers) -> list[Pause]:
    """All pauses in force."""
    with readers.borrow() as connection:
        return [Pause(*row) for row in connection.execute(SQL["select_pauses"])]


class PauseWriter(Named):
    """Named statements about pauses, in the writer's transaction."""

    def load(self) -> list[Pause]:
        """All pauses in force."""
        return [Pause(*row) for row in self._cursor.execute(SQL["select_pauses"])]

    def put(self, pause: Pause) -> None:
        """A new pause, or another end of one; where it began stays."""
        bindings = {"scope": pause.scope, "name": pause.name, "since": pause.since_ms, "until": pause.until_ms}
        self._cursor.execute(SQL["put_pause"], bindings)

    def delete(self, scope: Scope, name: str) -> None:
        """A pause is over."""
        self._cursor.execute(SQL["delete_pause"], {"scope": scope, "name": name})

    def count_startable(self, scope: Scope, name: str) -> int:
        """Tasks of a scope, queued and running, that no pause of a group or domain holds: counted by index, none is loaded."""
        count: int = self._value("count_startable" + _SUFFIX[scope], **_bindings(scope, name))
        return count

    def shift_ready(self, scope: Scope, name: str, *, since: int, now: int) -> None:
        """Queued tasks of the scope are as old as they were when its pause began; called once it is deleted."""
        self._cursor.execute(
            SQL["shift_ready" + _SUFFIX[scope]], {"since": since, "now": now, **_bindings(scope, name)}
        )

    def select_stopped(self) -> list[int]:
        """Tasks whose body a pause has stopped, and that nothing pauses any more."""
        return _decode_ids(self._value("select_stopped"))

    def select_preempted(self) -> list[int]:
        """Tasks whose body was preempted."""
        return _decode_ids(self._value("select_preempted"))

    def select_unpaused(self, ids: Sequence[int]) -> list[int]:
        """Those of the ids that no pause of a group or domain holds."""
        found: list[int] = []
        for part in chunks(ids):
            found += _decode_ids(self._value("select_unpaused", ids=json_text(part)))
        return found

    def select_groups(self, ids: Sequence[int]) -> dict[int, str]:
        """The groups of those of the tasks that have one, active or settled."""
        found: dict[int, str] = {}
        for part in chunks(ids):
            found.update(_decode_groups(self._value("select_groups", ids=json_text(part))))
        return found


def _bindings(scope: Scope, name: str) -> dict[str, str]:
    """A domain's tasks are those whose name begins with its own and two colons: ';' comes after ':'."""
    if scope == "domain":
        return {"first": f"{name}::", "last": f"{name}:;"}
    return {"name": name} if scope == "group" else {}
