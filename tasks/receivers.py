"""What happens when rows are deleted, or loaded from a fixture, without the services."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.db.models.signals import m2m_changed, post_delete, pre_delete, pre_save
from django.dispatch import receiver

from tasks import history
from tasks.database import CHUNK, alias, atomic, chunks, on_commit
from tasks.models import Calendar, OwnerMark, ScheduledTask, SummaryMark, Tag
from tasks.timing.instants import EPOCH


@receiver(post_delete, sender=ScheduledTask)
def remove_from_redis(sender: Any, instance: ScheduledTask, **kwargs: Any) -> None:
    """Unschedule it after the commit; if Redis is unavailable, the scheduler does so later."""
    from tasks.changes.projecting import unschedule

    on_commit(partial(unschedule, instance.job_id))


@receiver(m2m_changed, sender=ScheduledTask.tags.through)
def record_tags(
    sender: Any,
    instance: Any,
    action: str,
    reverse: bool,
    pk_set: set[int] | None,
    using: str,
    **kwargs: Any,
) -> None:
    """Leave a line in a schedule's history for tags that were given or taken away."""
    if action not in ("post_add", "post_remove", "pre_clear") or using != alias():
        return
    tags: Any = Tag.objects.filter(pk=instance.pk) if reverse else instance.tags.all()
    schedules: Any = instance.schedules.all() if reverse else [instance]
    if pk_set is not None and reverse:
        schedules = ScheduledTask.objects.filter(pk__in=pk_set)
    elif pk_set is not None:
        tags = Tag.objects.filter(pk__in=pk_set)
    names = set(tags.values_list("name", flat=True))
    changed: Callable[[set[str]], tuple[set[str], set[str]]] = {
        "post_add": lambda present: (present - names, present),
        "post_remove": lambda present: (present | names, present),
        "pre_clear": lambda present: (present, present - names),
    }[action]
    history.record_tags(
        (schedule, *changed(present)) for schedule, present in _with_tags(schedules)
    )


def _with_tags(schedules: Iterable[ScheduledTask]) -> list[tuple[ScheduledTask, set[str]]]:
    """Return schedules with the names of their tags as they are stored."""
    found = list(schedules)
    names: dict[int, set[str]] = {schedule.pk: set() for schedule in found}
    for chunk in chunks(names, CHUNK):
        links = ScheduledTask.tags.through.objects.filter(scheduledtask__in=chunk)
        for pk, name in links.values_list("scheduledtask", "tag__name"):
            names[pk].add(name)
    return [(schedule, names[schedule.pk]) for schedule in found]


@receiver(pre_delete, sender=Tag)
def record_deleted_tag(sender: Any, instance: Tag, using: str, **kwargs: Any) -> None:
    """Leave a line in the history of each schedule that loses a tag because it is deleted."""
    if using != alias():
        return
    schedules = ScheduledTask.objects.filter(tags=instance.pk)
    history.record_tags(
        (schedule, present, present - {instance.name})
        for schedule, present in _with_tags(schedules)
    )


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
