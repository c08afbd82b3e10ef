"""The runtime: actors over pykka, the pure rules they decide by, and the transactions that carry the rules out.

| module | knows |
|---|---|
| ``runtime``, ``settings``, ``draining`` | one scheduler, from opening to stop: joins all below; how runs end then |
| ``roster``, ``opened`` | the actors of a scheduler: their addresses, how each is made; its store: owned, opened, closed |
| ``callers``, ``executing`` | who waits for an actor's answer; what others hear of a run while it executes |
| ``actor``, ``mailbox``, ``times`` | the loop of an actor, addresses that outlive it, replies, the injected clocks |
| ``guardian`` | which actors run; replaces those that fail |
| ``persistence``, ``keeping`` | the one writer: what waits in its inbox is one transaction; what is put off, kept or refused |
| ``turn``, ``commits`` | what one transaction decides, in order, and who carries out which request; begun, synced, told |
| ``submits``, ``claiming``, ``upkeep``, ``startup`` | requests by subject: submits, the dispatcher's, what time brings, a start |
| ``dispatcher``, ``dispatches`` | which ready task starts next; what the dispatcher is told |
| ``lead``, ``gating``, ``preemption`` | its parts: starts ahead of the slots; what holds starts up; who stops for the urgent |
| ``under_way``, ``overdue``, ``hooks`` | its parts: runs it takes over and asks to stop; those that do not; cancel hooks |
| ``openings``, ``starting`` | places that it lends while nothing waits; starts in them, by the transaction that makes tasks ready |
| ``supervisor``, ``supervisors`` | the children of one parent; woken by mail, asleep without |
| ``clock`` | all that is due later |
| ``others`` | when to look for what other programs have written |
| ``sampler``, ``sources`` | what the machine and the user's functions say once a second |
| ``ledger``, ``edges``, ``effects`` | a transaction's rows in memory, who waits for whom, and what follows once it is committed |
| ``standing`` | what a transaction asks of the store once, as hardly any meets it |
| ``enqueueing``, ``cancelling``, ``flows`` | what a submit, a cancel or a flow's change means for rows |
| ``parents``, ``holders``, ``storing``, ``inserting``, ``stored`` | parts of a submit: who takes it, who is there; rows, answers |
| ``run_ends``, ``settling``, ``counting``, ``reruns`` | the same for ends of runs, tasks and children; rounds that begin instead |
| ``repeating``, ``recovering``, ``pruning``, ``controls`` | the same for retries by hand, starts, retention, single requests |
| ``series``, ``recurring``, ``schedules`` | how series of runs begin and end, which run is next, what is asked by hand |
| ``policy`` | the decisions, as pure functions |
| ``requests``, ``delivery``, ``hub`` | what persistence is asked; who hears of a commit; subscribers |
| ``progress``, ``progress_due``, ``ticks`` | how far all that is under way is; when that is due to be told; told |
| ``means``, ``live`` | what the newest runs of each task took; what a snapshot shows that is not in the store |

Guarantees: nobody hears of a change before it is committed; every call is answered or raises, whichever actor dies; all that an
actor knows can be rebuilt from the store and the executors.

A start, from left to right; each arrow is a message, each name a thread. While nothing waits:

    caller --Submit--> persistence --claims--> executor
                            ^                     |
                            +-----RunOutcome------+

The task starts in the transaction that stores it, in a place that the dispatcher, which sleeps meanwhile, has lent (``openings``).
As soon as something has to wait, it takes its places back, and chooses:

    caller --Submit--> persistence --TasksReady--> dispatcher --ClaimTasks--> persistence --claims--> executor
                            ^                          ^                                                 |
                            |                          +-----RunsEnded----- persistence                  |
                            +------------------------------------RunOutcome------------------------------+

The runtime itself:

    new -> open -> starting -> running -> stopping -> stopped -> starting ...
                                  +-> failed, winding down by itself

Fails: an actor that raises ends, those that wait for it are answered, and the guardian replaces it and what was started after
it (persistence, clock, dispatcher; supervisors one by one) after a pause of 10 ms to 1 s. More than ``Restarts.limit`` failures in
``Restarts.window``, or a store that must not be written, and the scheduler has failed: bodies are asked to stop, calls raise
``SchedulerFailed``, the process goes on.
"""
