"""Schedules and runs in another database than Django's default one, as a router says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.processes import Site, running, start
from tests.servers import BASE_DIR, Valkey, own_postgres, wait_for

MAKE = """
import django; django.setup()
from django.utils import timezone
from tasks.services import SchedulerService, TaskService
SchedulerService.schedule(timezone.now(), "tests.jobs.note", [{notes!r}], interval=1, retries=1)
SchedulerService.run_now(SchedulerService.schedule(
    timezone.now(), "tests.jobs.end_by", ["raise"], interval=3600, name="failing"))
TaskService.enqueue_task("tests.jobs.note", {notes!r})
"""


@pytest.fixture
def jobs_url() -> Iterator[str]:
    server = own_postgres()
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def site(postgres: str, jobs_url: str, valkey: Valkey, tmp_path: Path) -> Site:
    site = {
        "DJANGO_SETTINGS_MODULE": "tests.routed_settings",
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": postgres,
        "JOBS_URL": jobs_url,
        "REDIS_URL": valkey.url,
    }
    for database in ("default", "jobs"):
        assert start(site, "migrate", "--database", database, "--verbosity", "0").wait(120) == 0
    return site


def ends(url: str) -> set[str]:
    """Return how the runs and calls in a database ended, by function."""
    with closing(psycopg.connect(url)) as connection:
        query = """
            SELECT parent.function || ' ' || run.status FROM tasks_scheduledtaskinstance run
            JOIN tasks_scheduledtask parent ON parent.id = run.parent_id
            UNION SELECT 'call ' || status FROM tasks_task
        """
        return {text for (text,) in connection.execute(query).fetchall()}


def test_runs_are_recorded_where_the_router_says(site: Site, jobs_url: str, notes: Path):
    script = MAKE.format(notes=str(notes))
    environment = {"PATH": os.environ["PATH"], "SECRET_KEY": "only-for-the-tests", **site}
    subprocess.run([sys.executable, "-c", script], cwd=BASE_DIR, env=environment, check=True)
    expected = {"tests.jobs.note finished", "tests.jobs.end_by failed", "call finished"}
    with running(site, "rqscheduler"), running(site, "rqworker", "default"):
        wait_for(lambda: expected <= ends(jobs_url), "all kinds of ends", 60)
    assert start(site, "ledger").wait(60) == 0
