"""Tags in the admin: what has them, and who is limited to them."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import FilteredSelectMultiple
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, ngettext

from tasks.admin_pages.base import TasksAdmin
from tasks.admin_pages.formatting import NONE
from tasks.admin_pages.limits import KeysField, SharedAdmin
from tasks.models import ScheduledTask, Tag, TagGroup, TagUser

# By the fields of the form: the model that attaches people to tags, and its field.
LINKS: dict[str, tuple[Any, str]] = {
    "limited_users": (TagUser, "user_id"),
    "limited_groups": (TagGroup, "group_id"),
}
LIMITED = gettext_lazy(
    "They see only what has this tag, or another one that they are limited to. Superusers are "
    "never limited."
)


class TagForm(forms.ModelForm):
    """A tag, and the people who are limited to it."""

    limited_users = KeysField(
        queryset=get_user_model()._default_manager.none(),
        required=False,
        label=gettext_lazy("Users"),
        widget=FilteredSelectMultiple(gettext_lazy("users"), is_stacked=False),
    )
    limited_groups = KeysField(
        queryset=Group.objects.none(),
        required=False,
        label=gettext_lazy("Groups"),
        widget=FilteredSelectMultiple(gettext_lazy("groups"), is_stacked=False),
    )

    class Meta:
        model = Tag
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["limited_users"].queryset = get_user_model()._default_manager.all()
        fields["limited_groups"].queryset = Group.objects.all()
        if self.instance.pk:
            for name, (_model, field) in LINKS.items():
                self.initial[name] = list(_links(self.instance, name).values_list(field, flat=True))

    def save_people(self) -> None:
        """Limit exactly the chosen people to the saved tag."""
        for name, (model, field) in LINKS.items():
            known = set(_links(self.instance, name).values_list(field, flat=True))
            chosen = {one.pk for one in self.cleaned_data[name]}
            _links(self.instance, name).filter(**{f"{field}__in": known - chosen}).delete()
            model.objects.bulk_create(
                model(tag=self.instance, **{field: pk}) for pk in sorted(chosen - known)
            )


def _links(tag: Tag, name: str) -> QuerySet[Any]:
    """Return the rows that attach people to a tag: accounts may be in another database."""
    return LINKS[name][0].objects.filter(tag=tag)


def _deleted(tag: Tag) -> str:
    number = tag.schedules.count()
    text = ngettext(
        "%(tag)s: %(number)d schedule loses it, and stays.",
        "%(tag)s: %(number)d schedules lose it, and stay.",
        number,
    )
    return text % {"tag": tag.name, "number": number}


def _number_of(model: Any) -> Coalesce:
    """Return how many rows of a model have a tag; joined with those of others they multiply."""
    rows = model.objects.filter(tag=OuterRef("pk")).order_by().values("tag")
    return Coalesce(Subquery(rows.annotate(number=Count("pk")).values("number")), 0)


@admin.register(Tag)
class TagAdmin(SharedAdmin, TasksAdmin):
    """Tags: view, add, edit, delete, and limit people to them."""

    form = TagForm
    list_display = ("name", "used_by", "limited")
    search_fields = ("name",)
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name",)}),
        (
            gettext_lazy("People who see nothing else"),
            {"fields": ("limited_users", "limited_groups"), "description": LIMITED},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        tags = super().get_queryset(request)
        return tags.annotate(
            number_of_schedules=_number_of(ScheduledTask.tags.through),
            number_of_people=_number_of(TagUser),
            number_of_groups=_number_of(TagGroup),
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        form.save_people()

    def get_deleted_objects(
        self, objs: QuerySet[Tag] | Sequence[Tag], request: HttpRequest
    ) -> tuple[list[Any], dict[Any, int], set[Any], list[Any]]:
        """Say how many schedules lose each tag: the rows that attach it mean nothing to people."""
        tags = list(objs)
        _shown, _counts, missing, protected = super().get_deleted_objects(objs, request)
        counts = {Tag._meta.verbose_name_plural: len(tags)}
        return [_deleted(tag) for tag in tags], counts, missing, protected

    @admin.display(description=gettext_lazy("used by"), ordering="number_of_schedules")
    def used_by(self, tag: Any) -> SafeString | str:
        if not (number := tag.number_of_schedules):
            return NONE
        page = reverse("admin:tasks_scheduledtask_changelist")
        text = ngettext("%d schedule", "%d schedules", number) % number
        return format_html('<a href="{}?tag={}">{}</a>', page, tag.name, text)

    @admin.display(description=gettext_lazy("limited to it"))
    def limited(self, tag: Any) -> str:
        people = ngettext("%d user", "%d users", tag.number_of_people) % tag.number_of_people
        groups = ngettext("%d group", "%d groups", tag.number_of_groups) % tag.number_of_groups
        shown = [
            text
            for number, text in ((tag.number_of_people, people), (tag.number_of_groups, groups))
            if number
        ]
        return ", ".join(shown) or NONE
