"""What millrace costs, measured against other ways to do the same: `python -m bench`.

| module | knows |
|---|---|
| `case` | what a case is: variants that measure, columns that are shown, targets that are judged |
| `cases/` | one subject each: the workload for millrace, its sizes and its targets |
| `baselines/` | the same workload on bare apsw and on huey's SqliteHuey |
| `runner` | each measurement in a process of its own, the variants of a case in turns: A B A B |
| `worker` | the process in which one measurement happens |
| `memory`, `machine` | resident memory of this process; processor, file system and versions |
| `report` | the table and the marks against the targets |

A figure is the median over the repetitions; a ratio is the median of the ratios of each repetition, so that a slow
minute of the machine hits both sides of it.
"""
