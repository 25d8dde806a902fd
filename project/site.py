"""The admin of this site: its name, and what comes first in it."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

# Apps come in this order, then the others by their names; so do the pages of schedules.
FIRST_APPS = ["tasks", "feeds"]
FIRST_PAGES = ["ScheduledTask", "ScheduledTaskInstance", "Task", "Calendar"]


class LedgerSite(AdminSite):
    """The admin with schedules first."""

    site_header = site_title = _("Schedule Ledger")  # type: ignore[assignment]
    index_title = _("Home")  # type: ignore[assignment]
    # There is no site beside the admin: its address leads here.
    site_url = None

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps: list[Any] = super().get_app_list(request, app_label)
        for app in apps:
            if app["app_label"] == "tasks":
                app["models"] = [*overview(), *sorted(app["models"], key=page_rank)]
            elif app["app_label"] == "django_rq":
                app["name"] = "RQ"
        return sorted(apps, key=app_rank)


def app_rank(app: dict[str, Any]) -> int:
    """Return the place of an app; those of the same place stay in their order."""
    label = app["app_label"]
    return FIRST_APPS.index(label) if label in FIRST_APPS else len(FIRST_APPS)


def page_rank(model: dict[str, Any]) -> int:
    """Return the place of a page among those of its app."""
    name = model["object_name"]
    return FIRST_PAGES.index(name) if name in FIRST_PAGES else len(FIRST_PAGES)


def overview() -> list[dict[str, Any]]:
    """Return the entry of the overview, as the lists of pages have them."""
    try:
        url = reverse("admin:tasks_overview")
    except NoReverseMatch:
        return []
    name = {"name": _("Overview"), "object_name": "Overview"}
    return [name | {"admin_url": url, "add_url": None, "view_only": True, "perms": {"view": True}}]
