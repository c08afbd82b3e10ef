"""The only SQLite: schema, migrations, every statement, the writer's transactions, readers, and who owns the file.

| module | knows |
|---|---|
| ``sql/``, ``statements``, ``pieces`` | every statement, by name, some put together from pieces; no other folder has any |
| ``migrations/``, ``migrate`` | how a store of any age becomes today's, in one transaction |
| ``connection``, ``filesystem``, ``private`` | how a connection is opened and set; where a store may lie; ":memory:" |
| ``opening`` | that a file is a store, whole, and still the one that was opened |
| ``ownership``, ``fork`` | one process runs a store; a forked child keeps nothing of it |
| ``bell`` | how that process hears that others have written |
| ``session``, ``writer``, ``waiting`` | the one writing connection: transactions, syncs, the log; rows; locks of others |
| ``inserts`` | how new rows travel there: what they share once for all of them |
| ``named`` | what the parts of the writer share; they are the next two lines, and ``series``, ``pausing``, ``tuning`` |
| ``starts``, ``keys``, ``names`` | claims and what could be claimed; who holds a key; names that changed or are unknown |
| ``edges``, ``shelves`` | who waits for whom; the history as its pruning sees it |
| ``readers``, ``records`` | read-only connections for any thread; records |
| ``looking``, ``outcomes``, ``snapshots`` | lists and counts by any filters; how tasks have ended lately; all of one moment |
| ``series`` | the series of recurring tasks: the writer's statements, and the list for users |
| ``faults`` | the one boundary where SQLite's errors become millrace's |

Guarantees:

- What a synced commit returned for survives a power cut; any commit survives the death of the process.
- Each transaction takes the write lock before it reads, and commits only into the files that were opened, by their owner.
- A row is in ``task`` (active) or in ``history`` (settled), never in both. Every move names the state it comes from.
- Readers see one consistent state, block nobody, and can write nothing.

    free --acquire--> owned --release, or the end of the process, however it ends--> free

Fails: each call with a ``StoreError`` that has SQLite's code and cause. After ``StoreMoved`` and ``StoreCorrupt`` nothing is
written any more; after a failed sync (``CommitUnknown``) the log is begun anew before anything else is written; all others may
be tried again.
"""
