"""What a task is in code: the functions, codecs and defaults that all views of one task share."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from millrace.model.catalog import Traits
from millrace.model.codec import MemoCodec, PayloadCodec, UndecodablePayload
from millrace.model.errors import InvalidTask
from millrace.model.limits import RateLimit
from millrace.options import Options, TagsOf, TextOf

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

    Raises:
        InvalidTask: the body's payload is of types that JSON cannot carry.
    """

    __slots__ = (
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
    ) -> None:
        self.name = name
        self.payload_codec = PayloadCodec(fn, task_name=name)
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

    def set_finalizer(self, fn: Callable[..., Any]) -> None:
        """What runs once all children have settled; InvalidTask where there is one already."""
        if self.finalizer is not None:
            raise InvalidTask(f"task {self.name}: expected one finalizer, a second came; remove one")
        self.final_codec = MemoCodec(fn, task_name=self.name)
        self.finalizer = fn
        self.traits = replace(self.traits, has_finalizer=True)

    def set_hook(self, fn: Callable[..., Any]) -> None:
        """What runs after a cancel; InvalidTask where there is one already."""
        if self.hook is not None:
            raise InvalidTask(f"task {self.name}: expected one on_cancel, a second came; remove one")
        self.hook = fn
        self.traits = replace(self.traits, has_hook=True)

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
