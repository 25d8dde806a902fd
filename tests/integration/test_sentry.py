"""Failures reach Sentry: the real SDK in a real worker, with a transport that collects."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from redis import Redis

from tasks.models import RunRecord
from tasks.runs import spool
from tasks.services import SchedulerService, TaskService
from tests.processes import Site, start, work_off


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    path = tmp_path / "collected"
    path.touch()
    return path


@pytest.fixture
def sentry_site(site: Site, collected: Path) -> Site:
    return {
        **site,
        "DJANGO_SETTINGS_MODULE": "tests.sentry_settings",
        "SENTRY_COLLECTED": str(collected),
    }


def errors(collected: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in collected.read_text().splitlines()]
    return [event for event in events if event.get("level") == "error"]


def page_of(record: RunRecord) -> str:
    return reverse(f"admin:tasks_{record._meta.model_name}_change", args=[record.pk])


def test_a_failed_run_is_reported_once_with_its_schedule_and_its_page(
    sentry_site: Site, collected: Path
):
    schedule = SchedulerService.schedule(
        timezone.now() + timedelta(days=1), "tests.jobs.end_by", ["raise"], name="nightly"
    )
    SchedulerService.run_now(schedule)
    work_off(sentry_site)
    [event] = errors(collected)
    assert event["exception"]["values"][-1]["value"] == "as asked"
    assert event["tags"]["schedule"] == "nightly"
    assert event["contexts"]["run"]["address"] == page_of(schedule.runs.get())


def test_a_failed_call_is_reported_once_with_its_page(sentry_site: Site, collected: Path):
    call = TaskService.enqueue_task("tests.jobs.end_by", "raise")
    work_off(sentry_site)
    [event] = errors(collected)
    assert event["exception"]["values"][-1]["value"] == "as asked"
    assert event["contexts"]["run"]["address"] == page_of(call)


def test_no_secret_reaches_sentry(sentry_site: Site, collected: Path):
    TaskService.enqueue_task("tests.jobs.fail_with", "https://h.example/?token=hunter2-hunter2")
    work_off(sentry_site)
    [event] = errors(collected)
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["vars"]
    assert "hunter2" not in json.dumps(event)


def test_each_of_several_failures_is_reported(sentry_site: Site, collected: Path):
    for _ in range(3):
        TaskService.enqueue_task("tests.jobs.end_by", "raise")
    TaskService.enqueue_task("tests.jobs.end_by", "return")
    work_off(sentry_site)
    assert len(errors(collected)) == 3


def told(event: dict[str, Any]) -> set[str]:
    """Return what the functions have told of their runs that an event has."""
    crumbs = [crumb.get("message", "") for crumb in event["breadcrumbs"]["values"]]
    found = {text for text in crumbs if text.startswith(("crumb of", "log of"))}
    return found | {tag for tag in event.get("tags", {}) if tag.startswith("tag of")}


def noted(text: str) -> set[str]:
    return {f"{kind} of {text}" for kind in ("tag", "crumb", "log")}


def test_a_report_has_what_was_noted_of_its_own_run_and_of_no_earlier_one(
    sentry_site: Site, collected: Path
):
    for number in range(2):
        TaskService.enqueue_task("tests.jobs.note_and_fail", f"run {number}")
    work_off(sentry_site)
    events = sorted(errors(collected), key=lambda event: event["timestamp"])
    assert [told(event) for event in events] == [noted("run 0"), noted("run 1")]


def test_a_report_has_what_was_noted_of_its_own_run_and_of_none_beside_it(
    sentry_site: Site, collected: Path, notes: Path
):
    names = [f"run {number}" for number in range(3)]
    for name in names:
        TaskService.enqueue_task("tests.jobs.note_beside_and_fail", str(notes), name, 4)
    TaskService.enqueue_task("tests.jobs.note_and_go_on", str(notes), "stuck")
    worker = start(sentry_site, "rqworker", "default", "--burst", "--concurrency", "9")
    assert worker.wait(60) == 0
    events = {event["exception"]["values"][-1]["value"]: event for event in errors(collected)}
    assert {value: told(event) for value, event in events.items()} == {
        "Task exceeded maximum timeout value (1 seconds)": noted("stuck"),
        **{name: noted(name) | noted(f"{name} in a thread") for name in names},
    }


def test_a_failure_that_no_function_raised_is_logged_as_an_error(
    site: Site, redis_connection: Redis, caplog: pytest.LogCaptureFixture
):
    TaskService.enqueue_task("tests.jobs.end_by", "kill")
    work_off(site)
    spool.drain(redis_connection)
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "tests.jobs.end_by” failed: Lost: its process was killed" in record.getMessage()
