"""An SQS queue as its consumers and CloudWatch see it: messages visible, in flight, deleted, dead-lettered."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, replace
from random import Random

# Most messages in flight of a standard queue: Amazon SQS Developer Guide, "Amazon SQS message quotas".
IN_FLIGHT_MAX = 120_000


@dataclass(frozen=True)
class Lot:
    """Messages that were sent in the same second and have the same receive count. `bad` of them fail each time."""

    sent_s: int
    n: int
    bad: int = 0
    receives: int = 0

    @property
    def good(self) -> int:
        return self.n - self.bad

    def only_good(self) -> Lot:
        return replace(self, n=self.good, bad=0)

    def only_bad(self) -> Lot:
        return replace(self, n=self.bad)


class Queue:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._visible: deque[Lot] = deque()
        self._hidden: list[tuple[int, int, Lot]] = []  # visible again at; a number to order entries with the same time
        self._numbers = itertools.count()
        self.sent = self.visible = self.hidden = self.held = self.done = self.dead = 0
        self.good_dead = 0  # dead letters whose messages were not bad
        self.last_use_s: int | None = None
        self.longest_s = 0  # from sending to deletion
        self.received = 0

    @property
    def in_flight(self) -> int:
        return self.hidden + self.held

    @property
    def backlog(self) -> int:
        return self.visible + self.in_flight

    def touch(self, now_s: int) -> None:
        """Notes a call of the API: CloudWatch counts the queue as active for six hours from here."""
        self.last_use_s = now_s

    def send(self, now_s: int, n: int, bad: int = 0) -> None:
        if n == 0:
            return
        self._visible.append(Lot(now_s, n, bad))
        self.sent += n
        self.visible += n
        self.touch(now_s)

    def tick(self, now_s: int) -> None:
        """Makes hidden messages visible whose time has come."""
        while self._hidden and self._hidden[0][0] <= now_s:
            lot = heapq.heappop(self._hidden)[2]
            self._visible.append(lot)
            self.hidden -= lot.n
            self.visible += lot.n

    def receive(self, now_s: int, n: int) -> list[Lot]:
        """Receives up to n messages, which the caller holds until it settles them."""
        self.touch(now_s)
        n = min(n, self.visible, IN_FLIGHT_MAX - self.in_flight)
        lots = []
        while n > 0:
            lot = self._visible.popleft()
            if lot.n > n:
                taken, rest = self._split(lot, n)
                self._visible.appendleft(rest)
                lot = taken
            lots.append(replace(lot, receives=lot.receives + 1))
            self.visible -= lot.n
            self.held += lot.n
            self.received += lot.n
            n -= lot.n
        return lots

    def _split(self, lot: Lot, n: int) -> tuple[Lot, Lot]:
        """Takes n messages off a lot. Bad ones are spread evenly over the lot; chance decides about a fraction."""
        share = lot.bad * n / lot.n
        bad = int(share) + (self._random.random() < share - int(share))
        bad = max(bad, n - lot.good, 0)
        bad = min(bad, lot.bad, n)
        return replace(lot, n=n, bad=bad), replace(lot, n=lot.n - n, bad=lot.bad - bad)

    def delete(self, now_s: int, lot: Lot) -> None:
        if lot.n:
            self.held -= lot.n
            self.done += lot.n
            self.longest_s = max(self.longest_s, now_s - lot.sent_s)

    def bury(self, lot: Lot) -> None:
        """Moves messages to the dead-letter queue."""
        self.held -= lot.n
        self.dead += lot.n
        self.good_dead += lot.good

    def hide(self, lot: Lot, until_s: int) -> None:
        """Hides messages until then: for a back-off, or until a visibility timeout ends."""
        if lot.n:
            self.held -= lot.n
            self.hidden += lot.n
            heapq.heappush(self._hidden, (until_s, next(self._numbers), lot))

    def oldest_s(self, now_s: int) -> int:
        """Age of the oldest message that is visible or hidden."""
        sent = [lot.sent_s for lot in self._visible] + [lot.sent_s for _, _, lot in self._hidden]
        return now_s - min(sent) if sent else 0
