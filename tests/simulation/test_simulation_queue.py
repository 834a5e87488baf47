"""The simulation's queue: no operation loses a message or makes one."""

from __future__ import annotations

from random import Random

import pytest

from simulation.queue import IN_FLIGHT_MAX, Lot, Queue


def whole(queue: Queue) -> int:
    return queue.visible + queue.hidden + queue.held + queue.done + queue.dead


@pytest.mark.parametrize("seed", range(5))
def test_no_operation_loses_a_message(seed: int) -> None:
    random = Random(seed)
    queue, held, bad_sent = Queue(random), [], 0
    for now_s in range(2000):
        queue.tick(now_s)
        if random.random() < 0.3:
            n = random.randrange(1, 50)
            bad = random.randrange(n + 1)
            queue.send(now_s, n, bad)
            bad_sent += bad
        held += queue.receive(now_s, random.randrange(30))
        random.shuffle(held)
        while held and random.random() < 0.6:
            lot = held.pop()
            if random.random() < 0.5:
                queue.delete(now_s, lot)
            elif random.random() < 0.5:
                queue.hide(lot, now_s + random.randrange(1, 100))
            else:
                queue.bury(lot)
        assert whole(queue) == queue.sent
        assert sum(lot.n for lot in held) == queue.held
        assert min(queue.visible, queue.hidden, queue.held) >= 0
    assert queue.sent > 1000 and bad_sent > 100


def test_bad_messages_are_spread_and_all_come_out() -> None:
    queue = Queue(Random(1))
    queue.send(0, 10_000, 1_000)
    lots = []
    while queue.visible:
        lots += queue.receive(0, 37)
    assert sum(lot.n for lot in lots) == 10_000 and sum(lot.bad for lot in lots) == 1_000
    assert all(0 <= lot.bad <= 8 for lot in lots)


def test_hidden_messages_come_back_on_time_with_their_receives() -> None:
    queue = Queue(Random(1))
    queue.send(5, 3)
    (lot,) = queue.receive(5, 10)
    assert lot == Lot(5, 3, 0, 1) and queue.receive(5, 10) == []
    queue.hide(lot, 35)
    queue.tick(34)
    assert (queue.visible, queue.in_flight) == (0, 3)
    queue.tick(35)
    assert queue.receive(35, 10) == [Lot(5, 3, 0, 2)]


def test_messages_in_flight_are_limited() -> None:
    queue = Queue(Random(1))
    queue.send(0, IN_FLIGHT_MAX + 500)
    (lot,) = queue.receive(0, IN_FLIGHT_MAX + 500)
    assert lot.n == IN_FLIGHT_MAX and queue.receive(0, 1) == []
    queue.delete(0, lot)
    assert sum(lot.n for lot in queue.receive(0, 1000)) == 500


def test_the_longest_time_is_that_of_deleted_messages() -> None:
    queue = Queue(Random(1))
    queue.send(10, 2)
    queue.send(20, 2)
    first, second = queue.receive(50, 4)
    queue.bury(first)
    queue.delete(60, second)
    assert queue.longest_s == 40 and (queue.done, queue.dead, queue.good_dead) == (2, 2, 2)
