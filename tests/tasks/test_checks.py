"""Settings that can't work are refused by the system checks, with a hint."""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection

from tasks import checks, packages, registry
from tasks.arguments import Arguments
from tasks.checks import (
    check_child,
    check_classes,
    check_concurrency,
    check_database,
    check_hints,
    check_isolated,
    check_keep_calls,
    check_lost_after,
    check_max_result,
    check_packages,
    check_queues,
    check_schedules,
    check_unknown_after,
)
from tasks.models import Calendar
from tasks.worker import Worker
from tests.tasks import functions
from tests.tasks.schedules import ago, make_row

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


@pytest.mark.parametrize("other", [{"URL": "redis://two"}, {"SERIALIZER": "pickle"}, {"DB": 1}])
def test_a_queue_that_this_app_does_not_use_may_be_anything(
    settings: LazySettings, other: dict[str, Any]
):
    assert ids({"default": QUEUE, "of others": QUEUE | other}, settings) == []


@pytest.mark.django_db
def test_a_schedule_on_a_queue_that_this_app_cannot_use_is_named(settings: LazySettings):
    queues = {"default": QUEUE, "pickled": {"URL": "redis://one"}}
    settings.RQ_QUEUES = queues | {"elsewhere": QUEUE | {"URL": "redis://two"}}
    for number, queue in enumerate(("default", "pickled", "elsewhere", "gone")):
        make_row(name=f"on {queue}", queue=queue, args=[number])
    make_row(name="ended", queue="long gone", status="death", args=[9])
    assert checks.check_queues_of_schedules(databases=None) == []
    assert checks.check_queues_of_schedules(databases=["other"]) == []
    found = checks.check_queues_of_schedules(databases=["default"])
    assert [message.id for message in found] == ["tasks.W031"] * 3
    text = " ".join(f"{message.msg} {message.hint}" for message in found)
    for part in ("“on pickled”", "not JSON", "“on elsewhere”", "Redis", "“on gone”", "no queue"):
        assert part in text


@pytest.mark.parametrize("value", ["False", 0, None])
def test_whether_unregistered_functions_run_must_be_plain(settings: LazySettings, value: Any):
    settings.TASKS_RUN_UNREGISTERED = value
    assert [message.id for message in checks.check_run_unregistered()] == ["tasks.E030"]
    settings.TASKS_RUN_UNREGISTERED = True
    assert checks.check_run_unregistered() == []


@pytest.mark.parametrize("key", ["JOB_CLASS", "QUEUE_CLASS", "SCHEDULER_CLASS", "WORKER_CLASS"])
def test_a_missing_class_of_django_rq_is_refused_by_its_setting(settings: LazySettings, key: str):
    settings.RQ = {name: value for name, value in settings.RQ.items() if name != key}
    [message] = check_classes()
    assert message.id == "tasks.E004"
    assert message.hint is not None
    assert key in message.hint


def test_each_setting_of_django_rq_that_is_missing_is_reported(settings: LazySettings):
    del settings.RQ
    assert ids({}, settings) == ["tasks.E001"]
    assert len(check_classes()) == 4


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


@pytest.mark.parametrize(
    "value",
    [
        {"days": 0},
        {"number": -1},
        {"days": "30"},
        {"days": True},
        {"day": 3},
        30,
        {"number": 2**31},
    ],
)
def test_what_to_keep_of_calls_is_refused_if_it_makes_no_sense(settings: LazySettings, value: Any):
    settings.TASKS_KEEP_CALLS = value
    assert [message.id for message in check_keep_calls()] == ["tasks.E031"]


@pytest.mark.parametrize("value", [None, {}, {"days": 30}, {"days": 1, "number": 2**31 - 1}])
def test_what_to_keep_of_calls_may_be_days_or_a_number_or_nothing(
    settings: LazySettings, value: Any
):
    settings.TASKS_KEEP_CALLS = value
    assert check_keep_calls() == []


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


@pytest.mark.parametrize("value", [0, 86_401, True, "600", 60.0, None])
def test_a_time_for_unknown_functions_that_cannot_work_is_refused(
    settings: LazySettings, value: Any
):
    assert check_unknown_after() == []
    settings.TASKS_UNKNOWN_AFTER = value
    assert [message.id for message in check_unknown_after()] == ["tasks.E018"]


@pytest.mark.parametrize("value", [-1, 10_001, True, "20", 2.0, None])
def test_a_concurrency_that_cannot_work_is_refused(settings: LazySettings, value: Any):
    assert check_concurrency() == []
    settings.TASKS_CONCURRENCY = value
    assert [message.id for message in check_concurrency()] == ["tasks.E032"]


def test_a_task_function_whose_hints_cannot_be_evaluated_is_named(monkeypatch: pytest.MonkeyPatch):
    assert check_hints() == []
    broken = lambda func: Arguments(None, {}, "NameError: x")  # noqa: E731
    monkeypatch.setattr(registry, "arguments_of", broken)
    messages = [message.msg for message in check_hints() if functions.ECHO in message.msg]
    assert messages == [
        f"The hints of task function “{functions.ECHO}” can't be evaluated: NameError: x"
    ]


def unfit() -> list[str]:
    return [message.msg for message in check_schedules(databases=["default"])]


@pytest.mark.django_db
def test_schedules_that_cannot_run_are_named_by_the_check_of_the_database():
    make_row()
    make_row(function="gone.away", status="death")
    gone = make_row(name="gone", function="gone.away")
    paused = {"status": "paused", "paused_at": ago(0)}
    many = make_row(name="many", function="tests.only_scheduled", args=[1, 2], **paused)
    wrong = make_row(name="wrong", function="tests.only_scheduled", args=["abc"])
    make_row(function="tests.report", args=["2026-01-31"])
    there = Calendar.objects.create(name="Holidays")
    make_row(function="tests.report", args=["2026-01-31", there.pk])
    left = make_row(name="left", function="tests.report", args=["2026-01-31", there.pk + 1])
    first, second, third, fourth = unfit()
    assert fourth == (
        f"Schedule {left.pk} “left” can't run: calendar {there.pk + 1} doesn't exist (any more)."
    )
    assert first.startswith(f"Schedule {gone.pk} “gone” can't run: No task function is registered")
    assert second.startswith(f"Schedule {many.pk} “many” can't run: tests.only_scheduled(number")
    assert third == (
        f"Schedule {wrong.pk} “wrong” can't run: “number” must be a whole number, not 'abc'."
    )
    out, err = StringIO(), StringIO()
    call_command("check", databases=["default"], stdout=out, stderr=err)
    assert "(tasks.W018) Schedule" in err.getvalue()


@pytest.mark.django_db
def test_only_the_first_schedules_that_cannot_run_are_named():
    for _ in range(13):
        make_row(function="gone.away")
    found = unfit()
    assert len(found) == 11
    assert found[-1] == "… and 3 more schedules that can't run."


@pytest.mark.django_db
def test_the_check_of_the_database_leaves_other_databases_and_an_empty_one_alone(
    monkeypatch: pytest.MonkeyPatch,
):
    make_row(function="gone.away")
    assert check_schedules(databases=["other"]) == check_schedules() == []
    monkeypatch.setattr(connection.introspection, "table_names", list)
    assert unfit() == []


@pytest.mark.parametrize("value", [1_023, 0, -1, 65_536.0, "65536", True, None])
def test_an_invalid_limit_of_results_is_refused(settings: LazySettings, value: Any):
    settings.TASKS_MAX_RESULT = value
    assert [message.id for message in check_max_result()] == ["tasks.E021"]


def test_the_limit_of_results_is_optional(settings: LazySettings):
    del settings.TASKS_MAX_RESULT
    assert check_max_result() == []


@pytest.mark.parametrize("value", [None, 1, "on"])
def test_a_setting_for_isolation_that_is_no_clear_answer_is_refused(
    settings: LazySettings, value: Any
):
    settings.TASKS_ISOLATED = value
    assert [message.id for message in check_isolated()] == ["tasks.E022"]
