"""A program that is busy until it is killed, with its metrics on a port: `python measured_program.py STORE PORT`."""

import os
import random
import sys

from millrace import Context, Domain, Retry, Scheduler
from millrace.metrics import App, Exporter, Server

WAIT_S = 60.0


def work(path: str, port: int) -> None:
    """Short tasks of all kinds, without end."""
    domain = Domain("work")
    rnd = random.Random(os.getpid())

    @domain.task(timeout=0.05, retry=Retry.constant(2, delay=0.01))
    def step(ctx: Context, n: int) -> None:
        kind = rnd.random()
        if kind < 0.1:
            raise ValueError("it broke")
        ctx.wait_cancelled(0.2 if kind < 0.2 else 0.01)
        ctx.check_cancelled()

    @domain.task()
    def family(ctx: Context, n: int) -> None:
        ctx.spawn_children(step.call(1_000_000 * n + child) for child in range(5))

    @family.finalize
    def end(ctx: Context, memo: None, n: int) -> int:
        return sum(1 for _ in ctx.child_results())

    scheduler = Scheduler(path, domains=[domain], name="long", max_concurrency=8, durability="process").start()
    Server(App(Exporter(scheduler)), port=port).start()
    while True:
        made = scheduler.submit_batch(family.call(rnd.randrange(1 << 40)) for _ in range(10))
        scheduler.cancel(made[0].id)
        made[-1].wait(WAIT_S)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
