"""What happens when rows are deleted, or loaded from a fixture, without the services."""

from functools import partial
from typing import Any

from django.db.models.signals import post_delete, pre_save
from django.dispatch import receiver

from tasks.database import alias, atomic, on_commit
from tasks.models import Calendar, OwnerMark, ScheduledTask, SummaryMark
from tasks.timing.instants import EPOCH


@receiver(post_delete, sender=ScheduledTask)
def remove_from_redis(sender: Any, instance: ScheduledTask, **kwargs: Any) -> None:
    """Unschedule it after the commit; if Redis is unavailable, the scheduler does so later."""
    from tasks.changes.projecting import unschedule

    on_commit(partial(unschedule, instance.job_id))


@receiver(pre_save, sender=ScheduledTask)
def load_schedule(
    sender: Any, instance: ScheduledTask, raw: bool, using: str, **kwargs: Any
) -> None:
    """Begin the ledger of a schedule that a fixture brings."""
    from tasks.ledger.fixtures import begin_ledger

    if raw:
        begin_ledger(instance, using)


@receiver(pre_save, sender=OwnerMark)
def keep_owner_mark(sender: Any, instance: OwnerMark, raw: bool, using: str, **kwargs: Any) -> None:
    """Have a database that has a mark keep it: a fixture brings that of another one."""
    known = OwnerMark.objects.using(using).filter(pk=instance.pk).first() if raw else None
    if known is not None:
        instance.owner, instance.number = known.owner, known.number


@receiver(pre_save, sender=SummaryMark)
def summarise_all_again(sender: Any, instance: SummaryMark, raw: bool, **kwargs: Any) -> None:
    """Have all runs read again when a fixture brings a mark: it may bring runs, too."""
    if raw:
        instance.through = EPOCH


@receiver(pre_save, sender=Calendar)
def load_calendar(sender: Any, instance: Calendar, raw: bool, using: str, **kwargs: Any) -> None:
    """Settle what was expected before a fixture changes a calendar's dates."""
    from tasks.changes.calendars import settle_users

    if raw and using == alias() and Calendar.objects.filter(pk=instance.pk).exists():
        with atomic():
            settle_users(instance)
