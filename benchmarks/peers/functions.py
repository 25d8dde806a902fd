"""The functions that the peers run."""

import time
from typing import Any

from benchmarks.stamps import stamp


def noop(*args: Any) -> None:
    """Do nothing."""


def stamped(*args: Any) -> None:
    """Do nothing but record when."""
    stamp()


def recorded(*args: Any) -> None:
    """Do nothing but record when, with a row that is written at start and end."""
    from django.utils import timezone

    from benchmarks.peers.models import Run

    run = Run.objects.create(function="noop", status="running", started=timezone.now())
    stamp()
    Run.objects.filter(pk=run.pk).update(status="finished", ended=timezone.now())


def pause(seconds: float) -> None:
    """Wait, and record when that began and when it ended."""
    stamp()
    time.sleep(seconds)
    stamp()
