"""Real processes sync, import, dump and load schedules, and a system goes on with them."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.ledger.audit import tallies
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.services import SchedulerService
from tests.processes import Site, running, start
from tests.servers import wait_for

NAMES = [f"schedule {number}" for number in range(30)]
SETTINGS = """
from tests.process_settings import *
INSTALLED_APPS += ["shop"]
"""
DECLARED = f"""
SCHEDULES = [
    {{"name": name, "task_func": "tests.jobs.note", "args": ["x"], "cron_string": "@yearly"}}
    for name in {NAMES}
]
"""


def sync_command(folder: Path) -> list[str]:
    """Write an app with a list, and settings that install it; return the command to sync it."""
    (folder / "shop").mkdir()
    (folder / "shop/__init__.py").touch()
    (folder / "shop/schedules.py").write_text(DECLARED)
    (folder / "shop_settings.py").write_text(SETTINGS)
    return ["sync_schedules", "--settings=shop_settings", f"--pythonpath={folder}"]


def import_command(folder: Path) -> list[str]:
    """Write a file of definitions; return the command to import it."""
    entries = [
        {"name": name, "function": "tests.jobs.note", "args": ["x"], "cron": "@yearly"}
        for name in NAMES
    ]
    (folder / "schedules.json").write_text(json.dumps({"schedules": entries}))
    return ["import_schedules", str(folder / "schedules.json")]


@pytest.mark.parametrize("command", [sync_command, import_command])
def test_processes_that_make_the_same_schedules_at_once_make_each_once(
    site: Site, tmp_path: Path, command: Callable[[Path], list[str]], redis_connection: Redis
):
    words = command(tmp_path)
    processes = [start(site, *words) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    rows = ScheduledTask.objects.live().values_list("name", flat=True)
    assert sorted(rows) == sorted(NAMES)
    assert redis_connection.zcard(SCHEDULES_KEY) == len(NAMES)


def test_a_system_goes_on_from_now_with_schedules_that_another_database_has_dumped(
    site: Site, notes: Path, tmp_path: Path
):
    hour_ago = timezone.now() - timedelta(hours=1)
    schedule = SchedulerService.schedule(
        hour_ago, "tests.jobs.note", [str(notes)], interval=1, catch_up="all"
    )
    schedule.runs.create(name="x", due=schedule.first, status="missed", ended=hour_ago)
    ScheduledTask.objects.update(settled_through=hour_ago, period_start=hour_ago)
    dump = tmp_path / "everything.json"
    assert start(site, "dumpdata", "-o", str(dump)).wait(60) == 0
    ScheduledTask.objects.all().delete()
    before = timezone.now()
    assert start(site, "loaddata", str(dump)).wait(60) == 0
    with running(site, "rqscheduler"), running(site, "rqworker", "default"):
        finished = ScheduledTaskInstance.objects.filter(status="finished")
        wait_for(lambda: finished.count() >= 3, "three runs")
    loaded = ScheduledTask.objects.get()
    assert loaded.runs.exclude(due=schedule.first).filter(due__lt=before).count() == 0
    assert next(tallies([loaded.pk])).closes
    assert loaded.runs.filter(due=schedule.first).exists()
