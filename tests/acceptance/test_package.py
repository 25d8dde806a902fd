"""The package, installed in a fresh Django project."""

import os
import sqlite3
import subprocess
import sys
import sysconfig
import venv
from contextlib import closing
from pathlib import Path

import pytest

from tests.servers import BASE_DIR, Valkey, wait_for

SETTINGS = """
INSTALLED_APPS += ["tasks", "feeds", "django_rq", "shop"]
DATABASES["default"]["OPTIONS"] = {
    "init_command": "PRAGMA journal_mode=WAL;", "transaction_mode": "IMMEDIATE", "timeout": 20,
}
RQ_QUEUES = {
    "default": {"URL": "%s", "SERIALIZER": "rq.serializers.JSONSerializer"},
}
RQ = {
    "JOB_CLASS": "tasks.job.Job",
    "QUEUE_CLASS": "tasks.queue.Queue",
    "WORKER_CLASS": "tasks.worker.Worker",
    "SCHEDULER_CLASS": "tasks.scheduler.Scheduler",
}
"""
SHOP_TASKS = """
from tasks.decorators import scheduled_task


@scheduled_task
def add(a: int, b: int) -> int:
    return a + b
"""
SCHEDULE = """
from django.utils import timezone
from tasks.services import SchedulerService
SchedulerService.schedule(timezone.now(), "shop.add", [2, 3], interval=3600)
"""


class FreshProject:
    """A new Django project in an environment that has the wheel."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder / "site"
        self._python = _environment_with_wheel(folder)
        self.folder.mkdir()
        self.manage("startproject", "fresh_site", ".", program=["-m", "django"])
        self.manage("startapp", "shop")
        (self.folder / "shop/tasks.py").write_text(SHOP_TASKS)
        with (self.folder / "fresh_site/settings.py").open("a") as settings:
            settings.write(SETTINGS % redis_url)

    def start(self, *arguments: str, program: list[str] | None = None) -> "subprocess.Popen[str]":
        command = [str(self._python), *(program or ["manage.py"]), *arguments]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True
        )

    def manage(self, *arguments: str, program: list[str] | None = None) -> str:
        process = self.start(*arguments, program=program)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        return output

    def results(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=20)) as database:
            query = "SELECT status, result FROM tasks_scheduledtaskinstance"
            return database.execute(query).fetchall()


def _environment_with_wheel(folder: Path) -> Path:
    """Make an environment that has this one's libraries and the wheel, not the checkout."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*pip, *build, str(BASE_DIR)], check=True)
    venv.create(folder / "venv", with_pip=False)
    [packages] = (folder / "venv/lib").glob("python3*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    [wheel] = folder.glob("*.whl")
    install = ["install", "--no-deps", "--no-index", "--target", str(packages), str(wheel)]
    subprocess.run([*pip, *install], check=True)
    return folder / "venv/bin/python"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, valkey_server: Valkey) -> FreshProject:
    if valkey_server.stopped:
        valkey_server.start()
    valkey_server.client.flushall()
    return FreshProject(tmp_path_factory.mktemp("fresh"), valkey_server.url)


def test_a_fresh_project_with_the_package_runs_a_schedule_of_its_own_function(fresh: FreshProject):
    fresh.manage("check")
    fresh.manage("migrate", "-v0")
    fresh.manage("shell", "-c", SCHEDULE)
    processes = [fresh.start("rqscheduler"), fresh.start("rqworker", "default")]
    try:
        wait_for(lambda: ("finished", "5") in fresh.results(), "the finished run")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.communicate(timeout=20)


def test_the_wheel_has_migrations_templates_static_files_and_translations(fresh: FreshProject):
    fresh.manage("makemigrations", "--check", "tasks", "feeds")
    found = fresh.manage("findstatic", "tasks/admin.css", "feeds/admin.css", "-v0")
    assert "admin.css" in found
    korean = (
        "from django.utils.translation import gettext, override\n"
        "with override('ko'): print(gettext('Pause everything'), gettext('Feeds'))"
    )
    assert fresh.manage("shell", "-v0", "-c", korean).split("\n")[0] == "전체 일시 중지 피드"
