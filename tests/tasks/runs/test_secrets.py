"""What a run records and what processes log: without the secrets among its arguments."""

import io
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from redis import Redis

from tasks.broker import projection
from tasks.models import RunRecord, ScheduledTask
from tasks.registry import NotNow
from tasks.runs.progress import progress
from tasks.scheduler import Scheduler
from tasks.services import SchedulerService, TaskService
from tests.tasks import functions
from tests.tasks.functions import CHECKED, LOG_IN, perform, work_off
from tests.tasks.pages import page_of
from tests.tasks.schedules import MakeSchedule, ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "hunter2-hunter2"
ADDRESS = f"https://me:{SECRET}@feeds.example/?token={SECRET}"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Return what this process logs at any level, formatted as the settings say."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    configurator = logging.config.DictConfigurator(dict(settings.LOGGING))
    formatters: Any = settings.LOGGING["formatters"]
    handler.setFormatter(configurator.configure_formatter(formatters["line"]))
    loggers = [logging.getLogger(name) for name in (None, "rq", "rq.worker", "rq_scheduler")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield lines
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


def fail_with_secrets(*args: Any) -> None:
    logging.getLogger("tests").warning("%s has %s", ADDRESS, SECRET)
    progress(1, 2, f"with {SECRET}")
    raise ValueError(f"{SECRET} is not valid for {ADDRESS}")


def texts(record: RunRecord) -> str:
    """Return all that a row says in words about how a run went."""
    record.refresh_from_db()
    values = str(record.reason_values)
    shown = (record.name, record.reason, record.log, record.traceback, record.progress_message)
    return " ".join([*shown, values])


def test_a_failed_run_records_no_secret(redis_connection: Redis, put: MakeSchedule, behave):
    behave(fail_with_secrets)
    schedule = put(function=LOG_IN, args=[SECRET], name=ADDRESS)
    perform(redis_connection, SchedulerService.run_now(schedule).job_id)
    call = TaskService.enqueue_task(LOG_IN, "x", where={"token": SECRET})
    perform(redis_connection, call.job_id)
    for record in (schedule.runs.get(), call):
        assert SECRET not in texts(record)
        assert record.reason.startswith("Failed for: ValueError: ••• is not valid for https://•••@")
        assert "https://•••@feeds.example/?token=••• has •••" in record.log
        assert "ValueError: ••• is not valid" in record.traceback


def test_what_a_check_says_is_recorded_without_secrets(
    redis_connection: Redis, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(functions, "check", lambda *args: NotNow(f"not from {ADDRESS}"))
    schedule = put(function=CHECKED, first=ago(5), settled_through=ago(6))
    perform(redis_connection, SchedulerService.run_now(schedule).job_id)
    assert SECRET not in texts(schedule.runs.get())


def test_no_process_logs_a_secret(
    redis_connection: Redis,
    put: MakeSchedule,
    scheduler: Scheduler,
    behave,
    log: io.StringIO,
    admin_client: Client,
):
    behave(fail_with_secrets)
    values: dict[str, Any] = {"function": LOG_IN, "args": [SECRET], "queue": "low"}
    schedule = put(name=ADDRESS, first=ago(5), settled_through=ago(6), **values)
    broken = make_row(name=f"{ADDRESS}&broken", timezone="Nowhere", cron="0 6 * * *")
    assert projection.project(broken, redis_connection)
    scheduler.enqueue_jobs()
    kwargs = {"pin": "1", "api_token": SECRET, "where": ADDRESS}
    scheduler.enqueue_at(ago(10), LOG_IN, **kwargs)
    scheduler.enqueue_jobs()
    assert work_off(redis_connection) == 2
    TaskService.enqueue_task(LOG_IN, **kwargs)
    work_off(redis_connection)
    admin_client.post(page_of(schedule, "reveal"))
    lines = log.getvalue()
    assert "feeds.example" in lines
    assert "” failed: " in lines
    assert SECRET not in lines


def test_the_same_name_with_its_secret_is_the_same_schedule(db: None):
    first = SchedulerService.schedule(ago(0), LOG_IN, ["1"], name=ADDRESS, interval=60)
    again = SchedulerService.schedule(ago(0), LOG_IN, ["1"], name=ADDRESS, interval=60)
    assert first.pk == again.pk
    assert SECRET not in ScheduledTask.objects.get().name
