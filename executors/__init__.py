"""Where bodies run. An executor is given committed starts and reports one outcome for each; it decides nothing.

| module | knows |
|---|---|
| ``run`` | one run under way: its claim, what is asked of it, how far it is |
| ``threads`` | the pool of daemon threads: exact slots, lent, given up, resized, paused |
| ``pool`` | all executors of a scheduler behind one face; cancel hooks beside the slots |
| ``bodies`` | what is needed of the user's functions, which the api layer calls |

Guarantees:

- As many runs at once as there are slots while enough wait, the most urgent first; one that waits for another task, or was
  given up, is stood in for.
- Every run that begins is reported once, by its end or by whoever gave it up, and is known here until it is reported.
- Nothing is thrown into a thread: a run is asked to stop, and stops when its body looks.

    waiting --slot free--> begun --returns, raises--> reported
     |  |                    |
     |  +-stopped--> held    +--abandon--> given up --its thread ends--> forgotten, its outcome dropped
     +-withdrawn<-----+

Fails: a body's exception, whatever it is, is its run's outcome. Where the system gives no thread, runs wait and it is asked
again; a thread that never ends costs its memory, and no slot until as many as there are slots are given up.
"""
