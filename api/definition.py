"""What a task is in code: the functions, codecs and defaults that all views of one task share."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import msgspec

from millrace.model.catalog import Traits
from millrace.model.codec import MemoCodec, PayloadCodec, UndecodablePayload
from millrace.model.errors import InvalidTask
from millrace.model.functions import check_function
from millrace.model.limits import RateLimit
from millrace.model.migration import MAX_VERSION, Step, migrate
from millrace.model.names import QUALIFIER, check_task_name
from millrace.model.numbers import check_whole
from millrace.options import Options, TagsOf, TextOf, check_callable

CONTEXT: Final = ("ctx",)
"""What every function of a task is given first."""
_encode = msgspec.json.Encoder().encode


class Definition:
    """See the module. Made with the task, and added to by its decorators.

    Args:
        name: of the task, qualified.
        fn: the body.
        defaults: its options, in place of the domain's.
        key: gives the key of a submission from its payload.
        label: gives what people are shown.
        tags: gives tags, where the defaults have none.
        rate_limit: bounds how fast its bodies start, where the scheduler says nothing else.
        version: of the payload that the body takes.
        redact: parameters whose values are not shown.

    Raises:
        InvalidTask: the body's payload is of types that JSON cannot carry, or has no parameter that is to be redacted.
        ValueError, TypeError: of another argument.
    """

    __slots__ = (
        "_migrations",
        "defaults",
        "final_codec",
        "finalizer",
        "hook",
        "key",
        "label",
        "memo_codec",
        "name",
        "payload_codec",
        "rate_limit",
        "tags",
        "traits",
        "version",
    )

    def __init__(
        self,
        name: str,
        fn: Callable[..., Any],
        *,
        defaults: Options,
        key: TextOf | None,
        label: TextOf | None,
        tags: TagsOf | None,
        rate_limit: RateLimit | None = None,
        version: int = 1,
        redact: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.version = _check_version("version", version)
        check_function(fn, f"task {name}", CONTEXT)
        self.payload_codec = PayloadCodec(fn, task_name=name, redact=check_names("redact", redact))
        self.memo_codec = MemoCodec(fn, task_name=name)
        self.defaults = defaults
        self.key = key
        self.label = label
        self.tags = tags
        self.rate_limit = rate_limit
        self.finalizer: Callable[..., Any] | None = None
        self.final_codec: MemoCodec | None = None
        self.hook: Callable[..., Any] | None = None
        self.traits = Traits(has_finalizer=False, has_hook=False)
        self._migrations: dict[int, Step] = {}

    def set_finalizer(self, fn: Callable[..., Any]) -> None:
        """What runs once all children have settled; InvalidTask where there is one already, or it cannot be called so."""
        if self.finalizer is not None:
            raise InvalidTask(f"task {self.name}: expected one finalizer, a second came; remove one")
        check_function(fn, f"finalizer of {self.name}", (*CONTEXT, "memo"), self.payload_codec.signature)
        self.final_codec = MemoCodec(fn, task_name=self.name)
        self.finalizer = fn
        self.traits = replace(self.traits, has_finalizer=True)

    def set_hook(self, fn: Callable[..., Any]) -> None:
        """What runs after a cancel; InvalidTask where there is one already, or it cannot be called so."""
        if self.hook is not None:
            raise InvalidTask(f"task {self.name}: expected one on_cancel, a second came; remove one")
        check_function(fn, f"on_cancel of {self.name}", CONTEXT, self.payload_codec.signature)
        self.hook = fn
        self.traits = replace(self.traits, has_hook=True)

    def set_migration(self, from_version: int, fn: Step) -> None:
        """What turns a payload of that version into one of the next; InvalidTask where there is one, or no use for one."""
        check_callable("migrate", fn)
        if from_version in self._migrations:
            raise InvalidTask(f"task {self.name}: expected one migrate({from_version}), a second came; remove one")
        self._migrations[from_version] = fn

    def check_migration(self, from_version: int) -> None:
        """InvalidTask where the code is not beyond that version."""
        if _check_version("from_version", from_version) >= self.version:
            raise InvalidTask(
                f"task {self.name}: expected migrate() for a version below {self.version}, which the code has, "
                f"got {from_version}; give the task a higher version="
            )

    def arguments(self, payload: str, version: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What to call a function of the task with after its context, from a payload that code of that version stored.

        Raises:
            UndecodablePayload, Unmigratable: this program cannot run it.
        """
        if version != self.version:
            is_secret = bool(self.payload_codec.redact)
            payload = migrate(payload, version, self.version, self._migrations, is_secret=is_secret)
        return self.payload_codec.decode(payload)

    def decode_memo(self, memo: Any) -> Any:
        """A memo, as plain JSON, in the type that the finalizer (where it gave one) or the body returns.

        A memo that fits neither comes as plain JSON: a finalizer without annotation may have replaced the body's.
        """
        text = _encode(memo).decode()
        for codec in (self.final_codec, self.memo_codec):
            if codec is not None:
                try:
                    return codec.decode(text)
                except UndecodablePayload:
                    continue
        return memo


def qualify(domain: str, alias: str) -> str:
    """A name that a task had before, with its domain, which is the task's own where it names none; InvalidTask."""
    of_domain, qualifier, local = alias.partition(QUALIFIER)
    if not qualifier:
        return f"{domain}{QUALIFIER}{check_task_name(alias, 'alias')}"
    return f"{check_task_name(of_domain, 'alias')}{QUALIFIER}{check_task_name(local, 'alias')}"


def check_names(what: str, names: object) -> tuple[str, ...]:
    """Several names, each once. TypeError where they are no sequence of texts."""
    if isinstance(names, (str, bytes)) or not isinstance(names, Sequence):
        raise TypeError(
            f"{what}: expected a sequence of names, got {type(names).__name__}; put a single one into a list"
        )
    given = cast("Sequence[object]", names)
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"{what}: expected names, got {type(name).__name__}")
    return tuple(dict.fromkeys(map(str, given)))


def _check_version(what: str, version: int) -> int:
    return check_whole(version, what, least=1, most=MAX_VERSION)
