"""What has not begun when its stop is acknowledged never begins (S-109, S-139).

A start is committed ahead of the free slots and waits for one in the executor, while the dispatcher, which takes it back, hears of
a commit after those who were answered. A slot that becomes free in between would begin it. So such starts are held back first;
they stay known to the executor until the dispatcher, this one or its successor, takes them back and frees their place.
"""

from millrace.actors.effects import Effects
from millrace.executors.pool import Executors
from millrace.model.rows import Phase


def hold_back(effects: Effects, executors: Executors) -> frozenset[tuple[int, int]]:
    """Hold back the starts that a commit has stopped. Called before anybody hears of it.

    Returns all (task, run) that it has stopped: those that it has started itself, too, for whose beginning it is too late as well.
    """
    limits = effects.limits
    if limits is not None and limits.has_pauses:
        executors.hold_back(lambda claim: limits.holds(claim.name, claim.grp))
        # The dispatcher hears of the pause before it can know of these, which go on in the slots of their bodies.
        effects.interrupts.extend(
            (claim.id, claim.run, "paused")
            for claim in effects.claims
            if claim.phase != Phase.HOOK and limits.holds(claim.name, claim.grp)
        )
    stopped = frozenset((task_id, run) for task_id, run, _ in effects.interrupts)
    if stopped:
        executors.hold_back(lambda claim: (claim.id, claim.run) in stopped)
    return stopped
