"""What hardly any transaction meets: the store is asked once in each, and all that would have to look for it is spared."""

from millrace.store.writer import Writer


class Standing:
    """See the module. Part of a ``Ledger``.

    Args:
        writer: with the transaction open.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._cascades: bool | None = None
        self._waits_for_key: bool | None = None

    def has_cascades(self) -> bool:
        """Whether some cancel was on its way down before: it outlives transactions, actors and processes."""
        if self._cascades is None:
            self._cascades = self._writer.has_cascades()
        return self._cascades

    def has_held(self) -> bool:
        """Whether any task waits for a cancelled one of its key to wind down."""
        if self._waits_for_key is None:
            self._waits_for_key = self._writer.keys.has_held()
        return self._waits_for_key

    def note_held(self) -> None:
        """From now on one does."""
        self._waits_for_key = True
