"""The bounds that keep a memo small, whatever a directory holds. Totals stay exact beyond all of them; lists end.

`tests/cli/test_scan_totals.py` builds the largest memos that they allow and compares them with `MAX_PAYLOAD`.
"""

from typing import Final

MAX_PAYLOAD: Final = 16 << 20
"""Bytes that one payload or memo of a scan may take: the scheduler is told so. Only reports come near."""

MAX_PATH: Final = 32 << 10
"""Bytes of a path's text form as JSON: 8 times what one system call takes. What lies deeper is unreadable."""

MAX_ERROR: Final = 500
"""Characters kept of an error message."""

TOP: Final = 20
"""Files, and directories, in the lists of the largest ones."""

MAX_EXTENSIONS: Final = 2_000
"""Extensions counted apart; the others are counted under `*`."""

LINKS_PER_MEMO: Final = 10_000
"""Hard-linked inodes that one memo carries; the rest of a directory's go into further tasks."""

SUBDIRECTORIES_PER_CALL: Final = 10_000
"""Directories spawned in one transaction."""

UNREAD_PER_DIRECTORY: Final = 128 << 10
"""Bytes of JSON that a directory's list of unreadable entries takes; the others are counted."""

UNREAD_PER_REPORT: Final = 3 << 20
"""The same for the report's list."""
