"""Pages of the admin: their addresses, what they show, and staff users who look at them."""

import re
from collections.abc import Sequence
from html import unescape
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

SCHEDULES = reverse("admin:tasks_scheduledtask_changelist")
RUNS = reverse("admin:tasks_scheduledtaskinstance_changelist")
CALLS = reverse("admin:tasks_task_changelist")
SCRIPT = "<script>alert(1)</script>"


def page_of(record: Model, page: str = "change", *args: Any) -> str:
    """Return the address of a page of a record."""
    return reverse(f"admin:tasks_{record._meta.model_name}_{page}", args=[record.pk, *args])


def act_url(record: Model, action: str) -> str:
    """Return the address of an action on a record."""
    return page_of(record, "act", action)


def act_on(client: Client, records: Sequence[Model], action: str, **data: Any) -> Any:
    """Do something with several schedules, as the page that asks does; return where it leads."""
    url = reverse("admin:tasks_scheduledtask_act_on_several", args=[action])
    ids = ",".join(str(record.pk) for record in records)
    return client.post(url, {"ids": ids, "confirmed": "yes", **data}, follow=True)


def text_of(response: HttpResponse) -> str:
    """Return the text of a page, without its tags."""
    assert response.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def rows_of(response: Any) -> list[Any]:
    """Return the records that a list shows."""
    return list(response.context_data["cl"].result_list)


def errors_of(response: Any) -> dict[str, list[str]]:
    """Return the errors that a form is shown with again, none if it was accepted."""
    if response.status_code == 302:
        return {}
    assert response.status_code == 200
    errors: dict[str, list[str]] = response.context_data["adminform"].form.errors
    return errors


def staff(*permissions: str) -> User:
    """Store a staff user who has only these permissions, by their code names."""
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user
