"""How many coroutine functions a worker runs at a time."""

from typing import cast

from django.conf import settings

# What a step is given that takes jobs of any kind but coroutines.
PLAIN = "plain"
# The bounds of TASKS_CONCURRENCY; 0 is for none beside another.
MOST_CONCURRENCY = 10_000


def is_concurrency(value: object) -> bool:
    """Return whether TASKS_CONCURRENCY can have this value; the system checks refuse others."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and 0 <= cast(int, value) <= MOST_CONCURRENCY


def coroutines_at_a_time() -> int:
    """Return how many coroutine functions a worker runs at a time, by TASKS_CONCURRENCY."""
    configured = getattr(settings, "TASKS_CONCURRENCY", 0)
    return configured if is_concurrency(configured) else 0
