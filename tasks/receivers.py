"""Removes a deleted schedule from Redis, whether the row, a queryset or a cascade deleted it."""

from functools import partial
from typing import Any

from django.db.models.signals import post_delete
from django.dispatch import receiver

from tasks.database import on_commit
from tasks.models import ScheduledTask


@receiver(post_delete, sender=ScheduledTask)
def remove_from_redis(sender: Any, instance: ScheduledTask, **kwargs: Any) -> None:
    """Unschedule it after the commit; if Redis is unavailable, the scheduler does so later."""
    from tasks.services import unschedule

    on_commit(partial(unschedule, instance.job_id))
