"""The rules that the actors decide by: pure functions of a row, a message and the time. No thread, no IO, no clock.

| module | decides |
|---|---|
| ``ends`` | what the end of a run means, and what a task does next when nothing of it executes |
| ``duplicates`` | what a submission does to the holder of its key |
| ``queue`` | which ready task starts next, under all limits |
| ``lines``, ``window`` | what waits, a line a lane; which part of it is in memory |
| ``scopes``, ``standing`` | what bounds starts; which lines it holds up, and which stand in the open |
| ``together`` | the short ways of many tasks, offered or started in one go |
| ``starts``, ``held`` | a start; the starts under way, and the places that they take |
| ``limits``, ``tuning`` | all that bounds starts, as one value; what is set at run time against what the program says |
| ``admission`` | how many starts are claimed at once, and how many ahead of the free slots |
| ``dependencies``, ``circles`` | what the end of a dependency means; whether tasks would wait for themselves |
| ``deadlines`` | until when a run must have started |
| ``ageing`` | how waiting makes a task more urgent |
| ``buckets`` | how fast tasks of one name or group start |
| ``filling`` | what each group's share of the slots is |
| ``shares``, ``demands``, ``classes`` | which group a free slot goes to; what each has to do; groups of one share |
| ``preempting`` | which runs stop for an urgent task |
| ``gate`` | whether the machine can move what one more body would |
| ``pressure`` | what waits while the machine is busy with other things |
| ``smoothing`` | what the machine's readings are, smoothed |
| ``intensity`` | when failing actors stop the scheduler |
| ``patience`` | how long a request that is in no hurry waits for company |
| ``rollup``, ``estimates`` | how far a parent is, by its children; how fast bytes go, how far a silent run may be |
| ``series`` | when the runs of a series are due, and what becomes of due times that were missed |
| ``retention`` | which settled rows are pruned |
"""
