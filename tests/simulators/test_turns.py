"""Models that take turns in one OS process: who goes on, and how it ends."""

from __future__ import annotations

import pytest

from spk2loihi.simulators.lava.turns import Turns, TurnSemaphore


def test_messages_arrive_in_order_and_a_full_channel_waits() -> None:
    turns = Turns()
    sent, taken = TurnSemaphore(turns), TurnSemaphore(turns)
    told: list[str] = []

    def sender() -> None:
        for i in range(4):
            if i >= 2:
                taken.acquire()  # two places
            told.append(f"send {i}")
            sent.release()

    def receiver() -> None:
        for i in range(4):
            sent.acquire()
            told.append(f"receive {i}")
            taken.release()

    turns.run([receiver, sender])
    assert told == ["send 0", "send 1", "receive 0", "receive 1", "send 2", "send 3"]  # all end with the first


def test_an_exception_ends_all() -> None:
    turns = Turns()
    never = TurnSemaphore(turns)

    def fail() -> None:
        raise ValueError("no such product")

    with pytest.raises(ValueError, match="no such product"):
        turns.run([never.acquire, fail])  # type: ignore[list-item]


def test_all_that_wait_are_an_error_not_a_hang() -> None:
    turns = Turns()
    with pytest.raises(RuntimeError, match="waits for a message that none is to send"):
        turns.run([TurnSemaphore(turns).acquire, TurnSemaphore(turns).acquire])  # type: ignore[list-item]
    assert not TurnSemaphore(turns).acquire(False)
