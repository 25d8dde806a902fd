"""Pages of people who are limited to tags: they show only what has one of these."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import IntegerField, Model, QuerySet
from django.http import HttpRequest

from tasks.access import can_be_limited, is_limited, keep_visible, visible
from tasks.admin_pages.addresses import number_in
from tasks.models import Tag

MOST_OFFERED = 100


class KeysField(forms.ModelMultipleChoiceField):
    """Rows chosen by their keys; a number that no database holds is an error, not a failure."""

    def clean(self, value: Any) -> Any:
        """Return the rows; Django itself would ask the database for any number."""
        rows: Any = self.queryset
        if isinstance(rows.model._meta.pk, IntegerField):
            for key in value or ():
                if number_in(str(key)) is None:
                    message = self.error_messages["invalid_pk_value"]
                    raise ValidationError(message, "invalid_pk_value", {"pk": key})
        return super().clean(value)


class LimitedAdmin(admin.ModelAdmin):
    """A page that shows only what its user may see: records, choices of fields, counts."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(request.user, super().get_queryset(request))

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        return super().formfield_for_manytomany(
            db_field, request, **{"form_class": KeysField} | options
        )

    def get_field_queryset(self, db: str | None, db_field: Any, request: HttpRequest) -> Any:
        """Offer in a field only what the user may see."""
        offered = super().get_field_queryset(db, db_field, request)
        related = db_field.remote_field.model
        if not can_be_limited(related):
            return offered
        return visible(request.user, related._default_manager.all() if offered is None else offered)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Keep the tags that the person doesn't see, and the record in the person's sight."""
        record = form.instance
        tags = record.tags if can_be_limited(type(record)) and hasattr(record, "tags") else None
        seen = visible(request.user, Tag.objects.all())
        hidden = [] if tags is None else _hidden_tags(record, seen)
        super().save_related(request, form, formsets, change)
        if tags is not None:
            tags.add(*hidden)
            keep_visible(request.user, record)


def _hidden_tags(record: Any, seen: QuerySet[Tag]) -> list[int]:
    """Return a record's tags that the person doesn't see, whatever the page has read of them."""
    links = record.tags.through.objects.filter(**{record.tags.source_field_name: record})
    return list(links.exclude(tag__in=seen.values("pk")).values_list("tag_id", flat=True))


class VisibleFilter(admin.RelatedFieldListFilter):
    """A filter by another record, which offers only those that the user may see.

    Of more than `MOST_OFFERED`, it offers only the chosen one: the others' own pages lead here.
    """

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        offered = visible(request.user, field.remote_field.model._default_manager.all())
        keys = list(offered.order_by().values_list("pk", flat=True)[: MOST_OFFERED + 1])
        if len(keys) > MOST_OFFERED:
            chosen = number_in(request.GET.get(self.lookup_kwarg))
            keys = list(offered.order_by().filter(pk=chosen).values_list("pk", flat=True))
        return field.get_choices(
            include_blank=False,
            ordering=self.field_admin_ordering(field, request, model_admin),
            limit_choices_to={"pk__in": keys},
        )

    def has_output(self) -> bool:
        return super().has_output() or self.lookup_val is not None


class SharedAdmin(LimitedAdmin):
    """A page of what concerns everybody: people who are limited to tags don't change it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not is_limited(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and not is_limited(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not is_limited(request.user)
