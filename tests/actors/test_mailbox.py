"""Mailboxes and replies: the first answer counts, whoever gives it."""

import threading

import pytest

from millrace.actors.mailbox import Mailbox, Reply


def test_mail_is_taken_in_the_order_in_which_it_came() -> None:
    """In batches, of no more than is asked for."""
    box: Mailbox[int] = Mailbox("box")
    for n in range(10):
        box.tell(n)
    assert [envelope.message for envelope in box.inbox.take(None, 4)] == [0, 1, 2, 3]
    assert [envelope.message for envelope in box.inbox.take(0.0, 100)] == [4, 5, 6, 7, 8, 9]
    assert box.inbox.empty()
    assert box.inbox.take(0.0, 5) == []


def test_mail_of_one_sender_keeps_its_order_among_others() -> None:
    """Each of several threads tells in a row; each row arrives as a row."""
    box: Mailbox[tuple[int, int]] = Mailbox("box")
    senders = [threading.Thread(target=lambda s=s: [box.tell((s, n)) for n in range(200)]) for s in range(5)]
    for sender in senders:
        sender.start()
    taken = []
    while len(taken) < 1000:
        taken += [envelope.message for envelope in box.inbox.take(10.0, 64)]
    for sender in senders:
        sender.join()
    for s in range(5):
        assert [n for sender, n in taken if sender == s] == list(range(200))


def test_a_reply_gives_the_answer_or_raises_it() -> None:
    """And says whether it was the first."""
    answered: Reply[int] = Reply()
    assert not answered.wait(0.0)
    assert answered.set(7)
    assert answered.wait(0.0)
    assert answered.result() == 7
    failed: Reply[int] = Reply()
    assert failed.fail(KeyError("k"))
    with pytest.raises(KeyError):
        failed.result()


def test_later_answers_are_ignored() -> None:
    """Whoever clears up after a failure may answer without asking."""
    reply: Reply[int] = Reply()
    reply.set(1)
    assert not reply.set(2)
    assert not reply.fail(KeyError("k"))
    assert reply.result() == 1


def test_of_two_answers_at_once_one_counts() -> None:
    """And neither thread is harmed: the second is told so."""
    for _ in range(300):
        reply: Reply[int] = Reply()
        line = threading.Barrier(2)
        firsts: list[bool] = []

        def answer(value: int, reply: Reply[int] = reply, line: threading.Barrier = line) -> None:
            line.wait(10.0)
            firsts.append(reply.set(value) if value else reply.fail(KeyError("k")))  # noqa: B023 - joined in the loop

        threads = [threading.Thread(target=answer, args=(value,)) for value in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(firsts) == [False, True]
        assert reply.wait(0.0)
