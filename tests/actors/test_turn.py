"""The table of requests that a turn can carry out."""

from typing import Any, cast, get_args

from millrace.actors import requests
from millrace.actors.mailbox import Mailbox
from millrace.actors.turn import OWN_STEP, Turn

NOTHING = cast("Any", None)


def make_turn() -> Turn:
    return Turn(
        NOTHING,
        delivery=NOTHING,
        mailbox=Mailbox[Any]("persistence"),
        times=NOTHING,
        code_limits=NOTHING,
        pruner=NOTHING,
        ages=False,
    )


def test_every_kind_of_request_is_carried_out() -> None:
    """What may lie in the persistence actor's inbox has a handler, or a step of the turn of its own; and nothing else has."""
    assert make_turn().kinds == set(get_args(requests.Request))


def test_no_kind_is_carried_out_twice() -> None:
    """Requests with a step of their own are in no table besides."""
    assert set(make_turn()._handlers).isdisjoint(OWN_STEP)
