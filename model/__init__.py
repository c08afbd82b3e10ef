"""The vocabulary: values that all other layers speak in. No thread, no IO, nothing of ours imported.

| module | knows |
|---|---|
| ``statuses``, ``priority``, ``names`` | closed sets and ranges: statuses, policies, priorities, what a task may be called |
| ``records``, ``events``, ``errors`` | what users are given: records, events, every error with its facts |
| ``base_error``, ``store_errors`` | parts of ``errors``: how errors travel between processes; what can be wrong with a store |
| ``filters``, ``stats``, ``snapshots`` | what lists are asked for; how runs went, summed up; all that a dashboard shows |
| ``tags``, ``io``, ``redaction`` | what tasks may carry: tags, the bytes that runs move, payload fields that are not to be seen |
| ``rows``, ``new_tasks`` | what layers give each other: rows of the store, tasks that have none yet |
| ``outcomes``, ``catalog`` | the same: ends of runs, a task's functions |
| ``keys`` | by which number a key is looked for |
| ``lanes``, ``limits``, ``pauses`` | tasks that every limit treats alike; what bounds and orders starts; pauses as stored |
| ``families``, ``metrics``, ``histograms`` | what is measured, by which labels; what ``metrics()`` gives; durations counted |
| ``measures``, ``census`` | what is measured of a store, what a pool of runs counts |
| ``retry``, ``retention`` | how failed runs are repeated, how much history is kept |
| ``schedule``, ``cron`` | what recurs: intervals and cron expressions, and the instants of these in a time zone |
| ``durations`` | the one place where durations and times change their form |
| ``numbers`` | the one place that says what a whole number must be which a user gives |
| ``codec``, ``signature``, ``json_rules`` | payloads and memos: what fits a body, what JSON it becomes, and back |
| ``functions`` | what a function must be that a task consists of |
| ``migration`` | payloads of older code, brought up to the present version of a task |

Guarantees: values are checked where they are made, so a layer below need not look again; a value that is made does not change
(``Row`` apart, which one transaction holds).

A task is active, a row of the queue, or settled, a row of the history; nothing leaves a terminal status:

    PENDING -> RUNNING -> COMPLETED, FAILED, DEAD_LETTER
       ^          |
       |          +-> PENDING           retry, rerun, interruption
       |          +-> WAITING           children are active
       +- WAITING                       the finalizer is next
    PENDING <-> PARKED                  this program cannot run it; one that can starts
    any active -> CANCELLING -> CANCELLED, SUPERSEDED

Fails: with the errors of ``errors``, in the caller's thread; there is nothing else to fail here.
"""
