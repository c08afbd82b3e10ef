"""What a fork leaves in the child."""

from collections.abc import Callable

from millrace.store.fork import ForkGuard

SCRIPT = """
import os
from millrace.model.errors import ForkedProcess
from millrace.store.fork import ForkGuard
guard = ForkGuard()
guard.check()
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    try:
        guard.check()
    except ForkedProcess as error:
        own = ForkGuard()
        own.check()
        facts = (error.owner_pid == os.getppid(), error.pid == os.getpid(), guard.is_forked, own.is_forked)
        os.write(writer, repr(facts).encode())
    os._exit(0)
os.waitpid(pid, 0)
guard.check()
print(os.read(reader, 100).decode())
"""


def test_a_guard_holds_in_its_own_process() -> None:
    """In the process that made it a guard lets pass."""
    guard = ForkGuard()
    guard.check()
    assert not guard.is_forked


def test_a_child_is_refused_with_both_pids(run_python: Callable[..., str]) -> None:
    """A forked child is told whose object it is and who it is; its own objects work, and so do the parent's."""
    assert run_python(SCRIPT) == "(True, True, True, False)"


def test_descriptors_are_closed_in_the_child(run_python: Callable[..., str]) -> None:
    """A holder closes its copies in the child before anything else runs there; a collected one is forgotten."""
    script = """
import os
from millrace.store.fork import close_in_child
class Holder:
    def __init__(self):
        self.descriptor = os.open("/dev/null", os.O_RDONLY)
        close_in_child(self)
    def close_in_child(self):
        os.close(self.descriptor)
kept, dropped = Holder(), Holder()
left = dropped.descriptor
del dropped
pid = os.fork()
if pid == 0:
    codes = 0
    try:
        os.fstat(kept.descriptor)
    except OSError:
        codes |= 1
    os.fstat(left)
    os._exit(codes | 2)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.fstat(kept.descriptor).st_mode > 0)
"""
    assert run_python(script) == "3 True"
