"""A deleted feed's schedule is deleted too, and a migrated table of entries keeps its index."""

from typing import Any

from django.db import connections, router
from django.db.models.signals import post_delete, post_migrate
from django.dispatch import receiver

from feeds.keeping import search
from feeds.models import Entry, Feed
from tasks.models import ScheduledTask


@receiver(post_delete, sender=Feed)
def delete_schedule(sender: Any, instance: Feed, **kwargs: Any) -> None:
    """Delete the schedule that polled the feed, and its runs."""
    if instance.schedule_id is not None:
        ScheduledTask.objects.filter(pk=instance.schedule_id).delete()


@receiver(post_migrate)
def keep_search(sender: Any, using: str, **kwargs: Any) -> None:
    """Install the full-text index again, if a migration has made the table of entries anew."""
    if sender.name == "feeds" and router.allow_migrate_model(using, Entry):
        search.keep(connections[using])
