"""Settings that can't work are refused by the system checks, with a hint."""

from typing import Any

import pytest
from django.conf import LazySettings

from tasks.checks import (
    check_child,
    check_classes,
    check_isolated,
    check_lost_after,
    check_max_result,
    check_queues,
)
from tasks.worker import Worker

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
