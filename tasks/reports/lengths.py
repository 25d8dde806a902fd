"""Lengths of time worked out by the database, for pages of very many runs.

They are read several times as fast as the times from which they are made.
"""

from datetime import datetime
from typing import Any

from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Value
from django.db.models.functions import Coalesce

# How long after its due a run's latest attempt started; null without a due or a start.
LATENESS = ExpressionWrapper(F("started") - F("due"), DurationField())


def duration(now: datetime) -> ExpressionWrapper:
    """Return how long a run took, or has taken so far; null if it never started."""
    until = Coalesce("ended", Value(now, DateTimeField()))
    return ExpressionWrapper(until - F("started"), DurationField())


def since(begin: datetime, time: Any) -> ExpressionWrapper:
    """Return how long after `begin` a time is: that of a field by name, or an expression."""
    at = F(time) if isinstance(time, str) else time
    return ExpressionWrapper(at - Value(begin), DurationField())
