"""Limits that are set at run time: stored with the program's own value that they replace, in force after the commit."""

from typing import Any, Final, cast

import msgspec

from millrace.actors import pausing
from millrace.actors.ledger import Ledger
from millrace.actors.policy import tuning
from millrace.actors.policy.limits import Limits
from millrace.actors.policy.tuning import Kind, Setting, Value
from millrace.model import events
from millrace.model.limits import RateLimit
from millrace.store.tuning import TunedRow
from millrace.store.writer import Writer

_RATES: Final = ("task_rate", "group_rate")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def load(writer: Writer, code: Limits) -> Limits:
    """The program's limits with what the store says was set, and is paused."""
    limits, _ = tuning.in_force(code, _stored(writer))
    return pausing.load(writer, limits)


def rename_former(ledger: Ledger, code: Limits) -> None:
    """At a start: rates that were set under former names of this program's tasks are those of the present ones."""
    renamed = [ledger.writer.tuning.rename("task_rate", *names) for names in ledger.catalog.aliases().items()]
    if any(renamed):
        refresh(ledger, code)


def forget_obsolete(ledger: Ledger, code: Limits) -> None:
    """At a start: the program says something else than when these were set, and that holds from now on."""
    _, obsolete = tuning.in_force(code, _stored(ledger.writer))
    for setting in obsolete:
        ledger.writer.tuning.delete(setting.kind, setting.name)


def tune(ledger: Ledger, code: Limits, kind: Kind, name: str, value: Value) -> None:
    """Set a value, or take it back."""
    setting = tuning.set_value(code, kind, name, value)
    if setting.value == setting.replaced:
        ledger.writer.tuning.delete(kind, name)
    else:
        ledger.writer.tuning.put(TunedRow(kind, name, _text(setting.value), _text(setting.replaced)))
    before = ledger.limits
    ledger.set_limits(tuning.with_value(before, kind, name, setting.value))
    if kind == "weight" and ledger.is_heard:
        weights = tuning.weight_of(before, name), tuning.weight_of(ledger.limits, name)
        if weights[0] != weights[1]:
            event = events.GroupWeightChanged(at=ledger.now(), group=name, before=weights[0], after=weights[1])
            ledger.effects.events.append(event)


def refresh(ledger: Ledger, code: Limits) -> None:
    """The program's own limits are others than they were: tasks with limits of their own have been added."""
    ledger.set_limits(load(ledger.writer, code))


def _stored(writer: Writer) -> list[Setting]:
    return [
        Setting(cast("Kind", row.kind), row.name, _value(row.kind, row.value), _value(row.kind, row.replaced))
        for row in writer.tuning.load()
    ]


def _text(value: Value) -> str:
    return _encode([value.rate, value.burst] if isinstance(value, RateLimit) else value).decode()


def _value(kind: str, text: str) -> Value:
    found: Any = _decode(text)
    if kind in _RATES and found is not None:
        rate, burst = found
        return RateLimit(rate, burst)
    value: int | None = found
    return value
