"""Secrets in the admin: masked for everybody, and revealed by a button, on record, to a few."""

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from tasks.admin_pages.formatting import box, pretty_json
from tasks.admin_pages.limits import LimitedAdmin
from tasks.models import ScheduledTask
from tasks.registry import masked_arguments

PERMISSION = "tasks.reveal_secrets"
# The fields of a schedule that are masked when they are shown.
MASKED_FIELDS = ("args", "kwargs", "description", "note")


def may_reveal(request: HttpRequest) -> bool:
    """Return whether the user may see secrets."""
    return request.user.has_perm(PERMISSION)


def masked_fields(schedule: ScheduledTask) -> dict[str, Any]:
    """Return the fields of a schedule that may hold secrets, as they are shown."""
    args, kwargs = masked_arguments(schedule.function, schedule.args, schedule.kwargs)
    shown: dict[str, Any] = {"args": args, "kwargs": kwargs}
    texts = {name: schedule.masked(getattr(schedule, name)) for name in ("description", "note")}
    return shown | texts


class SecretsAdmin(LimitedAdmin):
    """A page whose records hold secrets.

    They can't be searched for, or filtered by, either: that would tell them letter by letter.
    """

    # The columns of the table that may hold secrets.
    secret_columns: ClassVar[frozenset[str]] = frozenset()
    # What only those who may see secrets can search in, besides `search_fields`.
    secret_search_fields: ClassVar[tuple[str, ...]] = ()

    def secrets_of(self, record: Any) -> dict[str, Any]:
        """Return what is masked on a record's page, by its label; empty if nothing is."""
        return {}

    def page_of(self, record: Any) -> str:
        """Return the address of the page on which a record is looked at."""
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(page, args=[record.pk])

    def get_search_fields(self, request: HttpRequest) -> Any:
        fields = tuple(super().get_search_fields(request))
        return (*fields, *self.secret_search_fields) if may_reveal(request) else fields

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Refuse filters by secret columns in the address of a list."""
        if lookup.partition("__")[0] in self.secret_columns and not may_reveal(request):
            return False
        return super().lookup_allowed(lookup, value, request)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_reveal"
        view = self.admin_site.admin_view(never_cache(self.reveal_view))
        return [path("<int:pk>/reveal/", view, name=name), *super().get_urls()]

    def reveal_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the secrets of a record, and note in its history who has seen them."""
        record = get_object_or_404(self.get_queryset(request), pk=pk)
        if request.method != "POST":  # as after a login in between: revealing is noted (R11)
            return redirect(self.page_of(record))
        if not self.has_view_permission(request, record) or not may_reveal(request):
            raise PermissionDenied
        secrets = self.secrets_of(record)
        labels = ", ".join(str(label) for label in secrets)
        self.log_change(request, record, _("Secrets revealed: %(labels)s.") % {"labels": labels})
        context = {
            **self.admin_site.each_context(request),
            "title": _("Secrets of “%(record)s”") % {"record": record},
            "opts": self.opts,
            "original": record,
            "back": self.page_of(record),
            "secrets": {
                label: box(value) if isinstance(value, str) else pretty_json(value)
                for label, value in secrets.items()
            },
        }
        return TemplateResponse(request, "admin/tasks/secrets.html", context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        shown = context.get("original")
        if shown is not None and may_reveal(request):
            record = self.model._default_manager.filter(pk=shown.pk).first()
            if record is not None and self.secrets_of(record):
                context["reveal_url"] = f"admin:{self.opts.app_label}_{self.opts.model_name}_reveal"
        return super().render_change_form(request, context, *args, **kwargs)


def secrets_of_call(record: Any) -> dict[str, Any]:
    """Return the arguments of a call that are masked, by their labels."""
    shown = dict(
        zip(
            ("args", "kwargs"),
            masked_arguments(record.function, record.args, record.kwargs),
            strict=True,
        )
    )
    return _masked(record, shown)


def secrets_of_schedule(schedule: ScheduledTask) -> dict[str, Any]:
    """Return the fields of a schedule that are masked, by their labels."""
    return _masked(schedule, masked_fields(schedule))


def _masked(record: Any, shown: dict[str, Any]) -> dict[str, Any]:
    stored = {name: getattr(record, name) for name in shown}
    return {
        record._meta.get_field(name).verbose_name: value
        for name, value in stored.items()
        if value != shown[name]
    }
