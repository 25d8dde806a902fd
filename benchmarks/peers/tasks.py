"""dramatiq's actors, which django-dramatiq looks for here."""

import dramatiq

from benchmarks.stamps import stamp


@dramatiq.actor
def noop(number: int) -> None:
    """Do nothing but record when."""
    stamp()
