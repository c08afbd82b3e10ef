"""Whether a failed run is repeated, and when (behaviour.md, section 8)."""

from typing import Any

import msgspec

from millrace.model import errors
from millrace.model.durations import to_seconds
from millrace.model.errors import PermanentError, RetryableError
from millrace.model.retry import Retry


class StoredRetry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A submission's policy as the store keeps it: exception classes by their qualified names, so that nothing is imported."""

    max_retries: int
    initial: float
    maximum: float
    backoff: str
    multiplier: float
    retry_on: tuple[str, ...]
    give_up_on: tuple[str, ...]


class StoredOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a submission itself said of its runs."""

    retry: StoredRetry | None = None
    timeout: float | None = None
    """Seconds; -1 is none at all."""
    executor: str | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoredOptions).decode


def encode_options(retry: Retry | None, timeout: float | None, executor: str | None = None) -> str | None:
    """JSON text for the store; None where there is nothing to keep."""
    if retry is None and timeout is None and executor is None:
        return None
    stored = None
    if retry is not None:
        stored = StoredRetry(
            max_retries=retry.max_retries,
            initial=to_seconds(retry.initial, "initial"),
            maximum=to_seconds(retry.maximum, "maximum"),
            backoff=retry.backoff,
            multiplier=retry.multiplier,
            retry_on=tuple(map(qualified, retry.retry_on)),
            give_up_on=tuple(map(qualified, retry.give_up_on)),
        )
    seconds = None if timeout is None else (-1.0 if timeout == float("inf") else timeout)
    return _encode(StoredOptions(stored, seconds, executor)).decode()


def decode_options(text: str | None) -> StoredOptions:
    """The options of a stored submission."""
    return StoredOptions() if text is None else _decode(text)


def qualified(kind: type) -> str:
    """The name under which an exception class is stored: for ours it does not tell in which of the model's files they are."""
    is_ours = kind.__module__.startswith("millrace.model.")
    return f"{errors.__name__ if is_ours else kind.__module__}.{kind.__qualname__}"


class Policy:
    """A retry policy as it is applied to an error: the task's own classes, or stored names matched along the error's MRO."""

    def __init__(self, retry: Retry, names: tuple[tuple[str, ...], tuple[str, ...]] | None = None) -> None:
        self.retry = retry
        self._names = names

    @classmethod
    def of_stored(cls, stored: StoredRetry) -> "Policy":
        """The policy of a submission."""
        backoff: Any = stored.backoff
        retry = Retry(stored.max_retries, stored.initial, stored.maximum, backoff, stored.multiplier)
        return cls(retry, (stored.retry_on, stored.give_up_on))

    def is_retryable(self, error: BaseException) -> bool:
        """Whether a run that raised this may be repeated, retries permitting."""
        if isinstance(error, PermanentError):
            return False
        if isinstance(error, RetryableError):
            return True
        if self._names is None:
            return isinstance(error, self.retry.retry_on) and not isinstance(error, self.retry.give_up_on)
        lineage = {qualified(kind) for kind in type(error).__mro__}
        retry_on, give_up_on = self._names
        return not lineage.isdisjoint(retry_on) and lineage.isdisjoint(give_up_on)

    def delay_s(self, error: BaseException, retries: int) -> float | None:
        """Seconds until the next run after ``retries`` retries; None where there is none."""
        if not self.is_retryable(error) or retries >= self.retry.max_retries:
            return None
        if isinstance(error, RetryableError) and error.retry_after is not None:
            return error.retry_after
        return self.retry.delay(retries + 1)
