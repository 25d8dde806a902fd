"""`manage.py dumpdata` without arguments dumps everything that has a table."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from tasks.models import ScheduledTask
from tests.tasks.schedules import make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)


def dump(*labels: str, **options: Any) -> list[str]:
    out = StringIO()
    call_command("dumpdata", *labels, stdout=out, **options)
    return [entry["model"] for entry in json.loads(out.getvalue())]


def test_everything_is_dumped_but_models_without_a_table():
    make_run(make_row())
    models = dump()
    assert {"tasks.scheduledtask", "tasks.scheduledtaskinstance", "auth.permission"} <= set(models)
    assert "django_rq.dashboard" not in models


def test_an_unmanaged_model_that_has_a_table_is_dumped():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE django_rq_dashboard (id integer PRIMARY KEY)")
        cursor.execute("INSERT INTO django_rq_dashboard VALUES (1)")
    try:
        assert dump("django_rq") == ["django_rq.dashboard"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE django_rq_dashboard")


def test_what_else_is_excluded_stays_excluded():
    make_row()
    models = dump(exclude=["tasks.scheduledtask", "auth"])
    assert "contenttypes.contenttype" in models
    assert not {"tasks.scheduledtask", "auth.permission"} & set(models)


def test_a_dump_of_everything_can_be_loaded(tmp_path: Any):
    row = make_row()
    make_run(row)
    path = tmp_path / "everything.json"
    call_command("dumpdata", output=str(path))
    ScheduledTask.objects.all().delete()
    call_command("loaddata", str(path), verbosity=0)
    assert ScheduledTask.objects.get().runs.count() == 1
