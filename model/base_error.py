"""The base of millrace's errors, and how they travel between processes."""

from __future__ import annotations


def rebuild(kind: type[BaseException], args: tuple[object, ...], facts: dict[str, object]) -> BaseException:
    """An unpickled error: its message and attributes as they were, without running its constructor again."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class MillraceError(Exception):
    """Base of every error that millrace raises, but for the built-in ones (`TypeError`, `ValueError`, ...)."""

    def __reduce__(self) -> tuple[object, ...]:
        """Most constructors take facts and build the message, so the default (call it with `args`) would not do."""
        return rebuild, (type(self), self.args, dict(self.__dict__))
