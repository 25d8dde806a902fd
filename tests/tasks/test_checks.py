"""Settings that can't work are refused by the system checks, with a hint."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured

from tasks import checks, packages
from tasks.checks import (
    check_child,
    check_classes,
    check_database,
    check_lost_after,
    check_packages,
    check_queues,
)
from tasks.worker import Worker

ROOT = Path(__file__).resolve().parents[2]
QUEUE = {"URL": "redis://one", "SERIALIZER": "rq.serializers.JSONSerializer"}


def ids(queues: Any, settings: LazySettings) -> list[str | None]:
    settings.RQ_QUEUES = queues
    return [message.id for message in check_queues()]


def test_the_projects_own_settings_pass_the_system_checks():
    assert check_queues() == check_classes() == check_lost_after() == []


@pytest.mark.parametrize("serializer", [None, "rq.serializers.PickleSerializer"])
def test_a_queue_with_pickle_is_refused(settings: LazySettings, serializer: str | None):
    assert ids({"default": QUEUE | {"SERIALIZER": serializer}}, settings) == ["tasks.E002"]


def test_a_missing_default_queue_is_refused(settings: LazySettings):
    assert ids({"low": QUEUE}, settings) == ["tasks.E001"]


@pytest.mark.parametrize("other", [{"URL": "redis://two"}, {"DB": 1}], ids=str)
def test_queues_on_different_redis_databases_are_refused(
    settings: LazySettings, other: dict[str, Any]
):
    queues = {"default": QUEUE, "low": QUEUE | other}
    assert ids(queues, settings) == ["tasks.E003"]


@pytest.mark.parametrize("key", ["JOB_CLASS", "SCHEDULER_CLASS", "WORKER_CLASS"])
def test_a_missing_class_of_django_rq_is_refused_by_its_setting(settings: LazySettings, key: str):
    settings.RQ = {name: value for name, value in settings.RQ.items() if name != key}
    [message] = check_classes()
    assert message.id == "tasks.E004"
    assert message.hint is not None
    assert key in message.hint


def test_each_setting_of_django_rq_that_is_missing_is_reported(settings: LazySettings):
    del settings.RQ
    assert ids({}, settings) == ["tasks.E001"]
    assert len(check_classes()) == 3


def test_a_subclass_of_the_worker_passes_the_system_checks(settings: LazySettings):
    settings.RQ = settings.RQ | {"WORKER_CLASS": type("MyWorker", (Worker,), {})}
    assert check_classes() == []


def test_a_worker_class_that_cannot_be_imported_is_refused(settings: LazySettings):
    settings.RQ = settings.RQ | {"WORKER_CLASS": "not.there.Worker"}
    assert [message.id for message in check_classes()] == ["tasks.E004"]


@pytest.mark.parametrize("value", [14, 0, -1, 86_401, 60.5, "60", None, True])
def test_an_invalid_time_until_a_run_is_lost_is_refused(settings: LazySettings, value: Any):
    settings.TASKS_LOST_AFTER = value
    assert [message.id for message in check_lost_after()] == ["tasks.E005"]


@pytest.mark.parametrize("value", [15, 86_400])
def test_the_bounds_of_the_time_until_a_run_is_lost_are_accepted(
    settings: LazySettings, value: int
):
    settings.TASKS_LOST_AFTER = value
    assert check_lost_after() == []


@pytest.mark.parametrize("name", ["TASKS_CHILD_MAX_RUNS", "TASKS_CHILD_MAX_MEMORY"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "9", True, None])
def test_an_invalid_limit_of_the_workers_child_is_refused(
    settings: LazySettings, name: str, value: Any
):
    setattr(settings, name, value)
    [message] = check_child()
    assert message.id == "tasks.E006"
    assert name in message.msg


def test_the_limits_of_the_workers_child_are_optional(settings: LazySettings):
    del settings.TASKS_CHILD_MAX_RUNS
    del settings.TASKS_CHILD_MAX_MEMORY
    assert check_child() == []


def test_naive_times_are_refused(settings: LazySettings):
    settings.USE_TZ = False
    assert [message.id for message in check_database()] == ["tasks.E007"]


@pytest.mark.parametrize("vendor", ["mysql", "oracle"])
def test_databases_for_which_no_statements_are_written_are_refused(
    monkeypatch: pytest.MonkeyPatch, vendor: str
):
    other = SimpleNamespace(vendor=vendor)
    monkeypatch.setattr(checks, "connections", {"default": other})
    [message] = check_database()
    assert (message.id, vendor in message.msg) == ("tasks.E008", True)


def test_a_hidden_crontab_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packages, "distribution", lambda name: name)
    assert [message.id for message in check_packages()] == ["tasks.W001"]


def test_a_project_with_celery_beat_is_told_why_it_cannot_start(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(packages, "distribution", lambda name: name)
    packages.refuse_hidden_crontab()
    with_beat = SimpleNamespace(INSTALLED_APPS=["tasks", "django_celery_beat"])
    monkeypatch.setattr(packages, "settings", with_beat)
    with pytest.raises(ImproperlyConfigured, match="pip uninstall crontab"):
        packages.refuse_hidden_crontab()


def test_a_module_that_hides_the_package_is_named(tmp_path: Path):
    (tmp_path / "tasks.py").write_text("")
    script = (
        "import django; from django.conf import settings; "
        "settings.configure(INSTALLED_APPS=['django.contrib.contenttypes', 'tasks', 'feeds']); "
        "django.setup()"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert f"(feeds.E001) {tmp_path}/tasks.py hides the package" in result.stderr
