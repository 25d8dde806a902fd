"""`manage.py simulate` shows what the coming days would be like."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from redis import Redis

from tasks.models import WeeklySummary
from tasks.worker import Worker
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db


def run(*args: str) -> str:
    out = StringIO()
    call_command("simulate", *args, stdout=out)
    return " ".join(out.getvalue().split())


def hourly(minutes: float, **values: str) -> None:
    """Store an hourly schedule whose runs take so many minutes."""
    schedule = make_row(first=ago(60), interval=3600, **values)
    WeeklySummary.objects.create(schedule=schedule, p50=timedelta(minutes=minutes))


def test_the_load_of_each_queue_is_shown_with_the_workers_that_serve_it(redis_connection: Redis):
    Worker(["default"], connection=redis_connection).register_birth()
    hourly(30)
    hourly(6, queue="low")
    output = run("--days", "1")
    assert "default 24 runs, 12.0 h of work, 1 worker, at most 100 % busy" in output
    assert "low 24 runs, 2.4 h of work, and no worker" in output


def test_hours_without_time_left_and_overlaps_are_named():
    hourly(60, name="long one")
    hourly(110, name="longer one", queue="low")  # Full at any minute of the hour.
    output = run("--days", "1", "--workers", "2")
    assert "hours without time left" in output
    assert "“longer one”: 12 dues find the run before still going on." in output


@pytest.mark.parametrize(
    ("every", "words"),
    [("hour", "every hour at :"), ("day", "every day at "), ("week", "every ")],
)
def test_the_emptiest_times_for_a_new_job_are_suggested(every: str, words: str):
    output = run("--workers", "1", "--takes", "10m", "--every", every)
    assert f"The emptiest times: {words}" in output
    assert "its workers are busy for up to 0 %" in output


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("--days", "0"), "--days must be from 1 to 31."),
        (("--workers", "0"), "At least one worker is needed: --workers 1"),
        (("--takes", "soon"), "--takes: “soon” is not a valid interval"),
        (("--takes", "10m"), "No worker serves the queue “default”: --workers 1 plays with one."),
    ],
)
def test_what_cannot_be_played_is_refused(args: tuple[str, ...], error: str):
    with pytest.raises(CommandError, match=error):
        run(*args)
