"""A schedule's periods tell which spec or status it had, from when until when."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from tasks.ledger.settling import settle
from tasks.models import ScheduledTask, SchedulePeriod
from tasks.runs.lost import Watch
from tasks.services import SchedulerService
from tasks.timing.spec import spec_from_json
from tests.tasks import functions
from tests.tasks.ledger.lives import lived, tally
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def kinds_of_periods(schedule: ScheduledTask) -> list[str]:
    return list(schedule.periods.order_by("end", "pk").values_list("kind", flat=True))


def test_pausing_a_schedule_ends_the_active_period_and_resuming_it_the_paused_one():
    schedule = lived(SchedulerService.cron("* * * * *", functions.ECHO), 200)
    SchedulerService.pause(schedule, "holidays")
    SchedulerService.resume(schedule)
    active, paused = schedule.periods.order_by("pk")
    assert (active.kind, paused.kind, paused.note) == ("active", "paused", "holidays")
    assert (active.end, paused.end) == (paused.start, ScheduledTask.objects.get().period_start)
    assert spec_from_json(active.spec).cron == "* * * * *"
    assert tally(schedule).closes


def test_the_time_a_schedule_was_paused_is_one_period_without_runs():
    schedule = make_row(
        cron="* * * * *", status="paused", paused_at=ago(9_000), period_start=ago(9_000)
    )
    SchedulerService.resume(schedule)
    assert (kinds_of_periods(schedule), schedule.runs.count()) == (["paused"], 0)
    assert tally(schedule).due == 0


def test_changing_a_spec_ends_the_period_of_the_old_spec():
    schedule = lived(SchedulerService.cron("* * * * *", functions.ECHO), 200)
    schedule.cron = "@yearly"
    SchedulerService.save(schedule)
    assert spec_from_json(schedule.periods.get().spec).cron == "* * * * *"
    assert (tally(schedule).outcomes["missed"], tally(schedule).closes) == (
        schedule.runs.count(),
        True,
    )


def test_changing_a_description_ends_no_period():
    schedule = SchedulerService.cron("* * * * *", functions.ECHO)
    schedule.description = "new"
    SchedulerService.save(schedule)
    assert kinds_of_periods(schedule) == []


def test_requesting_a_cancelled_schedule_again_ends_its_period_of_death():
    schedule = SchedulerService.cron("* * * * *", functions.ECHO)
    SchedulerService.cancel(schedule)
    SchedulerService.cron("* * * * *", functions.ECHO)
    assert kinds_of_periods(schedule) == ["active", "death"]


def test_cancelling_a_schedule_twice_ends_one_period():
    schedule = SchedulerService.cron("* * * * *", functions.ECHO)
    SchedulerService.cancel(schedule)
    SchedulerService.cancel(schedule)
    assert kinds_of_periods(schedule) == ["active"]


def test_editing_a_paused_schedule_leaves_its_pause_one_period():
    schedule = SchedulerService.cron("* * * * *", functions.ECHO)
    SchedulerService.pause(schedule)
    schedule.cron = "@yearly"
    SchedulerService.save(schedule)
    SchedulerService.resume(schedule)
    assert kinds_of_periods(schedule) == ["active", "paused"]


def test_an_exhausted_schedule_has_its_active_period_ended(redis_connection: Redis):
    schedule = make_row(first=ago(60), interval=None, settled_through=ago(61), period_start=ago(61))
    schedule.runs.create(name="x", due=schedule.first, status="missed", ended=ago(58))
    settle(redis_connection, Watch())
    assert (kinds_of_periods(schedule), tally(schedule).due, tally(schedule).closes) == (
        ["active"],
        1,
        True,
    )


def test_deleting_a_schedule_deletes_its_periods():
    schedule = SchedulerService.cron("* * * * *", functions.ECHO)
    SchedulerService.pause(schedule)
    schedule.delete()
    assert not SchedulePeriod.objects.exists()


# The first time that is still expected


@pytest.mark.parametrize("cron", ["* * * * * *", "0 0 1 1 *"])
def test_a_first_time_still_expected_after_a_change_of_spec_is_due_once(
    cron: str, redis_connection: Redis, scheduler: Any
):
    schedule = lived(SchedulerService.cron(cron, functions.ECHO, name="x"), 5)
    first = timezone.now().replace(microsecond=0) - timedelta(seconds=2)
    SchedulerService.schedule(first, functions.ECHO, interval=3600, name="x")
    scheduler.enqueue_jobs()
    functions.work_off(redis_connection)
    found = tally(schedule)
    assert found.closes
    assert schedule.runs.get(due=first).status == "finished"
    assert found.due == schedule.runs.count()
