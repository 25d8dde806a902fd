"""Lengths of time worked out by the database, for pages of very many runs.

They are read several times as fast as the times from which they are made.
"""

from datetime import datetime
from typing import Any

from django.db.models import (
    Case,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    Value,
    When,
)
from django.db.models.functions import Coalesce

# How long after its due a run started, as `ScheduledTaskInstance.lateness`; or null.
LATENESS = Case(
    When(
        attempt=1,
        requested=None,
        then=ExpressionWrapper(F("started") - F("due"), DurationField()),
    ),
    output_field=DurationField(),
)


def duration(now: datetime) -> ExpressionWrapper:
    """Return how long a run took, or has taken so far; null if it never started."""
    until = Coalesce("ended", Value(now, DateTimeField()))
    return ExpressionWrapper(until - F("started"), DurationField())


def since(begin: datetime, time: Any) -> ExpressionWrapper:
    """Return how long after `begin` a time is: that of a field by name, or an expression."""
    at = F(time) if isinstance(time, str) else time
    return ExpressionWrapper(at - Value(begin), DurationField())
