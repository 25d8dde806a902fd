"""A deleted schedule leaves Redis too, however it was deleted: row, queryset or cascade."""

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from tasks.models import ScheduledTask


@receiver(post_delete, sender=ScheduledTask)
def take_out_of_redis(sender: Any, instance: ScheduledTask, **kwargs: Any) -> None:
    """Unschedule after the commit; the scheduler does it later if Redis is away."""
    from tasks.services import unschedule

    transaction.on_commit(partial(unschedule, instance.job_id))
