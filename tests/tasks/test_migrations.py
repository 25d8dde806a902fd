"""What a migration does with rows that an older version has stored."""

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.migrations.loader import MigrationLoader

import tasks.migrations
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tests.tasks.functions import LOG_IN
from tests.tasks.schedules import make_row, make_run

pytestmark = pytest.mark.django_db

SECRET = "hunter2-hunter2"
ADDRESS = f"https://feeds.example/?token={SECRET}"
MASKED = "https://feeds.example/?token=•••"


def migrate(subject: str) -> None:
    """Do what the migration of a subject does with the rows, whatever its number."""
    run(subject, "mask_records")


def run(subject: str, function: str) -> None:
    """Call a function of the migration of a subject, as the migration does."""
    [path] = Path(tasks.migrations.__path__[0]).glob(f"*_{subject}.py")
    module: Any = import_module(f"tasks.migrations.{path.stem}")
    state = MigrationLoader(connection).project_state(("tasks", path.stem))
    getattr(module, function)(state.apps, SimpleNamespace(connection=connection))


def store(model: Any, pk: int, **values: str) -> None:
    """Write a row as an older version did."""
    for column, value in values.items():
        with connection.cursor() as cursor:
            cursor.execute(
                f'UPDATE {model._meta.db_table} SET "{column}" = %s WHERE id = %s', [value, pk]
            )


def test_the_names_of_schedules_and_runs_lose_their_secrets_and_keep_their_identity(admin_user):
    schedule = make_row(name="old", function=LOG_IN, args=["1"])
    run = make_run(schedule)
    store(ScheduledTask, schedule.pk, name=ADDRESS, fingerprint="of the old name")
    store(ScheduledTaskInstance, run.pk, name=ADDRESS)
    content_type = ContentType.objects.get_for_model(ScheduledTask)
    entry = LogEntry.objects.create(
        user=admin_user, content_type=content_type, object_repr=ADDRESS, action_flag=CHANGE
    )
    migrate("secrets")
    for record in (schedule, run, entry):
        record.refresh_from_db()
    assert (schedule.name, run.name, entry.object_repr) == (MASKED, MASKED, MASKED)
    stored = schedule.fingerprint
    schedule.set_fingerprint()
    assert stored == schedule.fingerprint


def test_schedules_that_differ_only_in_the_secret_of_their_name_stay_apart():
    schedules = [make_row(name=f"old {number}", function=LOG_IN, args=["1"]) for number in (1, 2)]
    for number, schedule in enumerate(schedules):
        store(ScheduledTask, schedule.pk, name=f"{ADDRESS}{number}")
    migrate("secrets")
    names = set(ScheduledTask.objects.values_list("name", flat=True))
    assert names == {MASKED, f"{MASKED} ({schedules[1].pk})"}


def test_reasons_lose_the_secrets_among_the_arguments_of_their_call():
    schedule = make_row(function=LOG_IN, args=["1"], kwargs={"api_token": SECRET})
    run = make_run(schedule, status="failed", reason=f"Failed for: {SECRET} is wrong")
    other = make_run(schedule, status="failed", reason=f"Failed for: {ADDRESS}")
    migrate("secrets")
    for record in (run, other):
        record.refresh_from_db()
    assert (run.reason, other.reason) == ("Failed for: ••• is wrong", f"Failed for: {MASKED}")


def test_who_may_change_schedules_may_go_on_to_run_pause_and_stop():
    new = {"run_scheduledtask", "pause_scheduledtask", "stop_run"}
    Permission.objects.filter(codename__in=new).delete()  # As it was before.
    change = Permission.objects.get(codename="change_scheduledtask")
    editor, viewer = (User.objects.create_user(name) for name in ("editor", "viewer"))
    editors, viewers = (Group.objects.create(name=name) for name in ("editors", "viewers"))
    editor.user_permissions.add(change)
    editors.permissions.add(change)
    view = Permission.objects.get(codename="view_scheduledtask")
    viewer.user_permissions.add(view)
    viewers.permissions.add(view)
    run("admin", "grant_permissions")
    run("admin", "grant_permissions")
    for of in (editor.user_permissions, editors.permissions):
        assert set(of.values_list("codename", flat=True)) == {change.codename, *new}
    for of in (viewer.user_permissions, viewers.permissions):
        assert set(of.values_list("codename", flat=True)) == {view.codename}
    create_permissions(apps.get_app_config("tasks"), verbosity=0)
    assert Permission.objects.filter(codename__in=new).count() == 3


def test_in_a_new_database_there_is_nobody_to_grant_permissions_to():
    Permission.objects.filter(content_type__app_label="tasks").delete()
    run("admin", "grant_permissions")
    assert not Permission.objects.filter(content_type__app_label="tasks").exists()
