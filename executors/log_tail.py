"""The newest log lines of one run: bounded, and it says how many older ones went."""

import threading
from collections import deque
from typing import Final

MAX_LINES: Final = 200
MAX_BYTES: Final = 64 * 1024
"""Bytes of UTF-8 that are kept, newlines included; a single line that is longer loses its end."""


class LogTail:
    """Log lines of a run. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[tuple[str, int]] = deque()
        self._size = 0
        self.dropped = 0
        """Lines that went, the oldest first."""

    def add(self, text: str) -> None:
        """Keep one message, which may have many lines."""
        entries = [_cut(line) for line in text.replace("\0", "\\x00").split("\n")]
        with self._lock:
            for entry in entries:
                self._lines.append(entry)
                self._size += entry[1]
                while len(self._lines) > MAX_LINES or self._size > MAX_BYTES:
                    self._size -= self._lines.popleft()[1]
                    self.dropped += 1

    def text(self) -> str:
        """All that is kept, the oldest line first, as the store can hold it."""
        with self._lock:
            lines = [line for line, _ in self._lines]
            dropped = self.dropped
        if dropped:
            lines.insert(0, f"... {dropped} earlier line{'s' if dropped > 1 else ''} dropped")
        return "\n".join(lines)


def _cut(line: str) -> tuple[str, int]:
    """A line and its size; without lone surrogates, which no file can hold."""
    raw = line[:MAX_BYTES].encode("utf-8", "backslashreplace")
    if len(raw) >= MAX_BYTES:
        raw = raw[: MAX_BYTES - 1]
        return raw.decode("utf-8", "ignore"), len(raw) + 1
    return raw.decode(), len(raw) + 1
