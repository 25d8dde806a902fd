"""Pages on which a call is typed: schedules and background calls."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_safe

from tasks.admin_pages.addresses import number_in
from tasks.admin_pages.argument_choices import choices_view, nameable, searchable
from tasks.admin_pages.argument_fields import ArgumentField, Group, Part
from tasks.admin_pages.forms import CallForm
from tasks.argument_types import Instance


@dataclass(frozen=True)
class Row:
    """A field of an argument on the page, or the heading of a dataclass's fields."""

    label: str
    bound: Any = None
    kind: str = ""
    default: str = ""
    help_text: str = ""
    depth: int = 0
    is_heading: bool = False
    is_checkbox: bool = False


def argument_rows(form: CallForm) -> list[Row]:
    """Return the fields of a call's arguments, in the order of the parameters."""
    if "function" not in form.fields:
        return []
    rows: list[Row] = []
    if form.call_fields is not None:
        for part in form.call_fields.parts.values():
            rows += _rows(form, part, 0)
    rest = [name for name in ("args", "kwargs") if name in form.fields]
    return rows + [Row(str(form[name].label), form[name], "JSON") for name in rest]


def rows_to_type(site: admin.AdminSite, request: HttpRequest, form: CallForm) -> list[Row]:
    """Return the fields of a call's arguments; rows of models are looked for where allowed."""
    rows = argument_rows(form)
    for row in rows:
        field = row.bound and row.bound.field
        if not isinstance(field, ArgumentField) or field.given.is_secret:
            continue
        of = field.inner
        if isinstance(of, Instance) and searchable(site, request, of.model):
            field.widget.attrs["data-choices"] = row.bound.name
    return rows


def _rows(form: CallForm, part: Part, depth: int) -> Iterator[Row]:
    if isinstance(part, Group):
        switch = form[part.switch] if part.switch else None
        yield Row(part.label, switch, "", "", part.help_text, depth, is_heading=True)
        for _name, child in part.parts:
            yield from _rows(form, child, depth + 1)
        return
    bound = form[part.name]
    field = bound.field
    assert isinstance(field, ArgumentField)
    yield Row(
        part.label,
        bound,
        field.kind,
        field.default_text,
        str(field.help_text),
        depth,
        is_checkbox=field.is_checkbox,
    )


class CallPages(admin.ModelAdmin):
    """The form of a call, and what it asks for while one is typed. GET changes nothing."""

    def get_urls(self) -> list[URLPattern]:
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        views = (("arguments", self.arguments_view), ("choices", self.choices_view))
        return [
            *(
                path(f"{name}/", self.admin_site.admin_view(view), name=f"{prefix}_{name}")
                for name, view in ((name, require_safe(view)) for name, view in views)
            ),
            *super().get_urls(),
        ]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change, **options)
        form.nameable = staticmethod(partial(nameable, self.admin_site, request))
        if obj is None:
            form.source = self.source_of(request)
        return form

    def source_of(self, request: HttpRequest) -> Any:
        """Return the record that an added one starts as, None if there is none."""
        return None

    def arguments_view(self, request: HttpRequest) -> HttpResponse:
        """Return the fields of a function's arguments, as a fragment of the page."""
        record = None
        if pk := request.GET.get("pk"):
            record = get_object_or_404(self.get_queryset(request), pk=number_in(pk))
        self._require_typing(request, record)
        form = self.get_form(request, record, change=record is not None)(
            instance=record, initial={"function": request.GET.get("function", "")}
        )
        context = {
            "form": form,
            "rows": rows_to_type(self.admin_site, request, form),
            "opts": self.opts,
        }
        return render(request, "admin/tasks/call/arguments.html", context)

    def choices_view(self, request: HttpRequest) -> JsonResponse:
        """Return rows of a model among which somebody looks for one."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        return choices_view(self.admin_site, request)

    def _require_typing(self, request: HttpRequest, record: Any) -> None:
        allowed = (
            self.has_add_permission(request)
            if record is None
            else self.has_change_permission(request, record)
        )
        if not allowed:
            raise PermissionDenied

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        form = context["adminform"].form
        if isinstance(form, CallForm) and "function" in form.fields:
            prefix = f"admin:{self.opts.app_label}_{self.opts.model_name}"
            context |= {
                "form": form,
                "rows": rows_to_type(self.admin_site, request, form),
                "errata": errata(form),
                "source": form.source,
                "arguments_url": reverse(f"{prefix}_arguments"),
                "choices_url": reverse(f"{prefix}_choices"),
            }
        return super().render_change_form(request, context, *args, **kwargs)


@dataclass(frozen=True)
class Erratum:
    """A field that has an error, to be linked beside Save."""

    label: str
    id: str


def errata(form: forms.BaseForm) -> list[Erratum]:
    """Return the fields that have errors, in the order of the page."""
    return [
        Erratum(str(form[name].label), form[name].id_for_label or form[name].auto_id)
        for name in form.fields
        if name in form.errors
    ]
