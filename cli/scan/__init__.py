"""`millrace scan`: a directory tree, counted as `find` and `du` count it, as a durable and resumable job.

An ordinary client of the public API. One task, `scan::scan`, spawns a task for each root; `scan::directory` reads one
directory, returns what it found as its memo and spawns a sibling for each sub-directory; when the last one has settled,
the finalizer of `scan::scan` streams the memos into totals, which are its own memo.

What makes the totals right after any number of kills: only the memo of a directory's last run counts, a repeated run
finds the siblings it had spawned instead of adding them again, and merging is independent of the order of the memos.

| module | knows |
|---|---|
| `names` | how a path of any bytes is written as text |
| `memo` | what a directory's task returns |
| `extensions`, `largest`, `unread` | bounded tables, whose content does not depend on the order of what is put in |
| `reading` | one directory: from the system to a `Reading` |
| `totals` | many memos to one report |
| `tasks` | the domain `scan` |
| `roots` | which paths are scanned, and the key of that scan |
| `place` | where the store of a scan lies, and who may use it |
| `progress` | the line on standard error |
| `report` | the result, as JSON and as text |
| `run` | one scan from start to result, drained on Ctrl-C |
| `command` | the options |
"""
