"""Who sees what: people who are limited to tags see only what has one of them.

Whoever is attached to a tag, directly or by a group, is limited; superusers never are. Each page,
list, filter, count and action shows and touches only what `visible` leaves.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from tasks.models import Calendar, ScheduledTask, Tag, TagGroup, TagUser, Task

M = TypeVar("M", bound=Model)


def limits(user: Any) -> frozenset[int] | None:
    """Return the keys of the tags that a user is limited to; None if the user sees everything."""
    if user.is_superuser:
        return None
    if not hasattr(user, "_tag_limits"):
        # Kept like the user's permissions: with the user, for one request.
        user._tag_limits = frozenset(_tags_of(user))
    return user._tag_limits or None


def _tags_of(user: Any) -> Iterator[int]:
    """Yield the keys of the tags that a user is attached to, directly or by a group.

    Accounts may be in another database than tags.
    """
    yield from TagUser.objects.filter(user_id=user.pk).values_list("tag", flat=True)
    groups = list(user.groups.values_list("pk", flat=True)) if hasattr(user, "groups") else []
    if groups:
        yield from TagGroup.objects.filter(group_id__in=groups).values_list("tag", flat=True)


def is_limited(user: Any) -> bool:
    """Return whether a user sees only what has certain tags."""
    return limits(user) is not None


def visible(user: Any, rows: QuerySet[M]) -> QuerySet[M]:
    """Return those of some rows that a user may see.

    A model says by `tagged_through` which of its foreign keys leads to what has the tags; one with
    `tags` of its own needs none. A calendar is seen with a schedule that uses it. What can have no
    tags, such as background calls, is hidden from people who are limited.
    """
    tags = limits(user)
    if tags is None:
        return rows
    model: Any = rows.model
    if model is Tag:
        return rows.filter(pk__in=tags)
    if model is Calendar:
        schedules = visible(user, ScheduledTask.objects.filter(calendar__isnull=False))
        return rows.filter(pk__in=schedules.order_by().values("calendar"))
    if not can_be_limited(model):
        return rows.none()
    through = getattr(model, "tagged_through", "")
    tagged = model._meta.get_field(through).related_model if through else model
    # Of the links to tags alone: what is linked would be looked up for each of very many rows.
    field = tagged._meta.get_field("tags")
    links = field.remote_field.through._base_manager.filter(tag__in=tags)
    allowed = links.order_by().values(field.m2m_field_name())
    return rows.filter(**{f"{through or 'pk'}__in": allowed})


def visible_calls(user: Any) -> QuerySet[Task]:
    """Return the background calls that a user may see: none without the permission for them."""
    may_see_calls = user.has_perm("tasks.view_task") or user.has_perm("tasks.change_task")
    return visible(user, Task.objects.all()) if may_see_calls else Task.objects.none()


def can_be_limited(model: type[Model]) -> bool:
    """Return whether rows of a model can be seen by people who are limited to tags."""
    own = hasattr(model, "tags") or hasattr(model, "tagged_through")
    return own or model in (Tag, Calendar)


def may_see(user: Any, record: Model) -> bool:
    """Return whether a user may see one record."""
    if not is_limited(user):
        return True
    return visible(user, type(record)._base_manager.filter(pk=record.pk)).exists()


def keep_visible(user: Any, record: Any) -> None:
    """Give a record that a limited user has saved the user's tags, if it has none of them.

    It would be gone from the sight of the person who has just made it.
    """
    tags = limits(user)
    if tags is not None and not record.tags.filter(pk__in=tags).exists():
        record.tags.add(*tags)
