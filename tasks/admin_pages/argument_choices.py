"""The rows of a model among which one is looked for while an argument is typed."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.text import Truncator

from tasks import registry
from tasks.access import can_be_limited, is_limited, visible
from tasks.admin_pages.argument_fields import PREFIX, without_none
from tasks.argument_types import UNREADABLE, Fields, Instance
from tasks.masking import mask_text

ROWS = 20
LABEL_LENGTH = 100
QUERY_LENGTH = 100


def model_of(function: str, name: str) -> Any:
    """Return the model of an argument's field, None if it takes no row of one."""
    found = registry.find(function)
    first, *path = name.removeprefix(PREFIX).split(".")
    of = None if found is None else found.arguments.types.get(first)
    for step in path:
        group = None if of is None else without_none(of)
        of = group.types.get(step) if isinstance(group, Fields) else None
    of = None if of is None else without_none(of)
    return of.model if isinstance(of, Instance) else None


def searchable(site: admin.AdminSite, request: HttpRequest, model: Any) -> Any:
    """Return the admin of a model whose rows this user may see and search, None without."""
    found = site._registry.get(model)
    if found is None or not found.get_search_fields(request):
        return None
    return found if found.has_view_permission(request) else None


def nameable(site: admin.AdminSite, request: HttpRequest, model: Any) -> QuerySet[Any]:
    """Return the rows of a model that this user may name in an argument.

    To people who are limited to tags, what they may not see is as if it didn't exist. Rows of a
    model that can have no tags are those that its own admin shows them.
    """
    rows: QuerySet[Any] = model._base_manager.all()
    if not is_limited(request.user):
        return rows
    page = site._registry.get(model)
    if page is None or can_be_limited(model):
        return visible(request.user, rows)
    return page.get_queryset(request) if page.has_view_permission(request) else rows.none()


def choices_view(site: admin.AdminSite, request: HttpRequest) -> JsonResponse:
    """Return rows whose texts fit what is typed, or the one with a primary key, with their names.

    As the admin of that model searches, for those who may see its rows.
    """
    model = model_of(request.GET.get("function", ""), request.GET.get("name", ""))
    if model is None:
        raise Http404
    page = searchable(site, request, model)
    if page is None:
        raise PermissionDenied
    rows = page.get_queryset(request)
    if (key := request.GET.get("pk")) is not None:
        try:
            rows = rows.filter(pk=model._meta.pk.to_python(key))
        except UNREADABLE:
            rows = rows.none()
    else:
        query = request.GET.get("q", "")[:QUERY_LENGTH].replace("\0", "")
        rows, _may_repeat = page.get_search_results(request, rows, query)
    found = {row.pk: row for row in rows[: 2 * ROWS]}
    return JsonResponse({"rows": [_row(row) for row in list(found.values())[:ROWS]]})


def _row(row: Any) -> dict[str, str]:
    return {"pk": str(row.pk), "label": Truncator(mask_text(str(row))).chars(LABEL_LENGTH)}
