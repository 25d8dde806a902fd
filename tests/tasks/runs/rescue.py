"""The search for lost runs, as the scheduler that leads makes it."""

from types import SimpleNamespace

from redis import Redis

from tasks.broker.leases import CERTAINTY, LEASE_SECONDS, LeaseProbe
from tasks.runs import lost
from tasks.runs.lost import Watch


class Rescue:
    """The scheduler's search for lost runs, of which a test says when it looks."""

    def __init__(self, redis: Redis, clock: SimpleNamespace) -> None:
        self._redis, self._clock = redis, clock
        self._watch, self._probe = Watch(), LeaseProbe()

    def look(self, seconds: float = 0) -> None:
        """Look each second for so long, and once more; nothing else happens to Redis meanwhile."""
        end = self._clock.now + seconds
        self.look_once()
        while self._clock.now < end:
            self._clock.now += 1
            self.look_once()

    def look_once(self) -> None:
        lost.close_lost_runs(self._redis, self._watch, self._probe)


def close_lost_runs(redis: Redis, clock: SimpleNamespace) -> None:
    """Look for lost runs until they are certain."""
    Rescue(redis, clock).look(LEASE_SECONDS + CERTAINTY + 3)
