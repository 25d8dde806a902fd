"""What a report is about: the schedules and the background calls that its reader may see."""

from typing import Any

from django.db.models import Q, QuerySet

from tasks.models import ScheduledTask, Task

Schedules = QuerySet[ScheduledTask]
Calls = QuerySet[Task]
NO_CALLS: Calls = Task.objects.none()


def is_everything(schedules: Schedules) -> bool:
    """Return whether these are all schedules, so that nothing has to be filtered."""
    return not schedules.query.where and not schedules.query.is_sliced


def of(schedules: Schedules, field: str = "parent") -> Q:
    """Return the condition that a row's foreign key leads to one of these schedules."""
    if is_everything(schedules):
        return Q()
    pks: Any = schedules.order_by().values("pk")
    return Q(**{f"{field}__in": pks})
