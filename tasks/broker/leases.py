"""Leases: a worker's claim that a run is alive, renewed while it is."""

from collections.abc import Sequence
from typing import cast

from django.conf import settings
from redis import Redis

from tasks.broker.keys import lease_key

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
