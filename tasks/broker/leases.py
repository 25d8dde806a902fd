"""Leases: a worker's claim that a run is alive, renewed while it is.

Two attempts of a run must not go on at the same time, so the worker has to give up a run before
others may call it lost. Each of them measures lengths of time only, by its own `elapsed_clock`:

    worker   A renewal counts from when it was sent. After two thirds of a lease without one, it
             also renews at the database. After a whole lease it suspends the run, and ends it
             unless the database says within `LAST_CHANCE` that the run is still its own.
    others   A lease in Redis lasts `LEASE_SECONDS` from when the renewal arrived, so longer. Then
             the run must look lost for `CERTAINTY`: no lease, and no renewal at the database. A
             renewal there counts as a lease of its own, so it takes `LEASE_SECONDS + CERTAINTY`
             without another one. What could have lost leases, or kept workers from renewing
             them, starts a wait of `LEASE_SECONDS`, then of `CERTAINTY`: see `LeaseProbe`.

So between the end of the worker's lease and the earliest moment at which others act, there is
`CERTAINTY`: `LAST_CHANCE` is half of it, and the rest is for a slow machine. When a worker dies,
its run is closed after two leases and `CERTAINTY` at the latest, and two checks: within
`LOST_AFTER`.
"""

import secrets
from collections.abc import Sequence
from typing import cast

from django.conf import settings
from redis import Redis

from tasks.broker.keys import LEASE_PROBE_KEY, lease_key
from tasks.clock import elapsed_clock

# How many seconds after its worker died a run is closed as lost, at the latest, and the bounds.
DEFAULT_LOST_AFTER = 60
LEAST_LOST_AFTER, MOST_LOST_AFTER = 15, 86_400


def is_lost_after(value: object) -> bool:
    """Return whether TASKS_LOST_AFTER can have this value; the system checks refuse others."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and LEAST_LOST_AFTER <= cast(int, value) <= MOST_LOST_AFTER


_configured = getattr(settings, "TASKS_LOST_AFTER", DEFAULT_LOST_AFTER)
LOST_AFTER: int = _configured if is_lost_after(_configured) else DEFAULT_LOST_AFTER
# How many seconds a run's lease lasts unless its worker renews it, and how often the worker does.
LEASE_SECONDS = LOST_AFTER // 4
LEASE_RENEWAL_SECONDS = min(LEASE_SECONDS // 3, 5)
# How long something must look lost before it counts as lost, in seconds: longer than a live worker
# needs to renew a lease. It also applies to lost jobs and occurrences, so it is never long.
CERTAINTY = min(LOST_AFTER / 4, 15.0)
# How old the last renewal is when the worker also renews at the database, in seconds; and for how
# long it keeps a run suspended whose lease is over, waiting for the database.
RENEWAL_AT_DATABASE_AFTER = LEASE_SECONDS * 2 / 3
LAST_CHANCE = CERTAINTY / 2


def are_held(redis: Redis, job_ids: Sequence[str]) -> list[bool]:
    """Return, for each job, whether somebody holds the lease on its run.

    A lease that would last for longer than any is granted was granted before Redis's clock was
    set back: it is shortened, and is renewed in time by whoever is alive.
    """
    longest = LEASE_SECONDS * 1000
    with redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.pttl(lease_key(job_id))
        left = cast(list[int], pipe.execute())
        for job_id, milliseconds in zip(job_ids, left, strict=True):
            if milliseconds > longest:
                pipe.pexpire(lease_key(job_id), longest)
        pipe.execute()
    return [milliseconds > 0 for milliseconds in left]


def renew_lease(redis: Redis, job_id: str, worker_name: str) -> None:
    """Renew the lease of a run for another `LEASE_SECONDS` seconds."""
    redis.set(lease_key(job_id), worker_name, ex=LEASE_SECONDS)


class LeaseProbe:
    """Proves that leases could be renewed, and were kept, all the time.

    It holds a lease of its own, renewed at each check. Whatever keeps workers from renewing theirs,
    or lets them lapse too early, does the same to this one: a Redis that is unavailable, refuses
    writes, was emptied or replaced by one that is behind, or whose clock was set; and a process
    that was suspended, or didn't lead for a while.
    """

    def __init__(self) -> None:
        self._token = ""
        self._since = 0.0

    def proven_for(self, redis: Redis) -> float:
        """Renew this lease; return for how many seconds it has been held without interruption.

        Raises RedisError if Redis is unavailable or refuses writes; the proof then begins anew.
        """
        expected, self._token = self._token, ""
        token = secrets.token_hex(8)
        found = redis.set(LEASE_PROBE_KEY, token, ex=LEASE_SECONDS, get=True)
        if not expected or found != expected.encode():
            self._since = elapsed_clock()
        self._token = token
        return elapsed_clock() - self._since
