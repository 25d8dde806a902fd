"""A deleted feed's schedule is deleted too, however the feed was deleted."""

from typing import Any

from django.db.models.signals import post_delete
from django.dispatch import receiver

from feeds.models import Feed
from tasks.models import ScheduledTask


@receiver(post_delete, sender=Feed)
def delete_schedule(sender: Any, instance: Feed, **kwargs: Any) -> None:
    """Delete the schedule that polled the feed, and its runs."""
    if instance.schedule_id is not None:
        ScheduledTask.objects.filter(pk=instance.schedule_id).delete()
