"""What is done with several schedules at once comes to the same as what is done with each."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from redis import Redis

from tasks import history
from tasks.broker.keys import SCHEDULES_KEY
from tasks.changes import several
from tasks.models import Hold, RunRequest, ScheduledTask, SchedulePeriod
from tasks.services import SchedulerService
from tests.tasks.functions import queued
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)
TIMES = ("paused_at", "settled_through", "period_start", "next_check_at", "updated", "created")
OWN = ("id", "name", "job_id", "fingerprint", *TIMES)


def made(status: str, first: datetime | None = None) -> ScheduledTask:
    """Return a schedule of which one due has passed that has no row yet."""
    first = first or ago(7_010)
    paused = {"paused_at": ago(50)} if status == "paused" else {}
    times = {"period_start": first, "settled_through": first + timedelta(seconds=6_950)}
    times |= {"first": first}
    return make_row(status=status, interval=60, **times, **paused)


def state(schedule: ScheduledTask, redis: Redis) -> dict[str, Any]:
    """Return what there is of a schedule, without its times and what is its own."""
    row = ScheduledTask.objects.filter(pk=schedule.pk).values().get()
    periods = SchedulePeriod.objects.filter(parent=schedule)
    changes = schedule.changes.order_by("pk")
    lines = [(line.action, line.by, line.note, [*line.changes]) for line in changes]
    return {
        "row": {name: value for name, value in row.items() if name not in OWN},
        "is_settled": row["settled_through"] == row["period_start"] == row["next_check_at"],
        "periods": list(periods.values_list("kind", "note", "held_by")),
        "runs": list(schedule.runs.values_list("status", "reason_code")),
        "history": lines,
        "in_redis": redis.zscore(SCHEDULES_KEY, schedule.job_id) is not None,
    }


def pause_one(schedule: ScheduledTask) -> None:
    SchedulerService.pause(schedule, "why")


ONE: dict[str, tuple[str, Callable[..., Any], Callable[..., Any]]] = {
    "pause": ("running", several.pause, pause_one),
    "pause a failing one": ("failed", several.pause, pause_one),
    "resume": ("paused", several.resume, SchedulerService.resume),
    "cancel": ("running", several.cancel, SchedulerService.cancel),
    "cancel a paused one": ("paused", several.cancel, SchedulerService.cancel),
}


@pytest.mark.parametrize("what", list(ONE))
def test_several_end_up_as_each_would_alone(redis_connection: Redis, what: str):
    status, of_several, of_one = ONE[what]
    first = ago(7_010)
    alone, *others = [made(status, first) for _ in range(3)]
    with history.made_by("ann"):
        of_one(alone)
        assert of_several(others, "why" if what.startswith("pause") else "") == {}
    expected = state(alone, redis_connection)
    assert [state(one, redis_connection) for one in others] == [expected] * 2
    assert all(one.status == expected["row"]["status"] for one in others)


def test_of_several_each_that_can_not_be_is_refused_and_the_others_are_done():
    live, paused, gone = made("running"), made("paused"), made("running")
    ScheduledTask.objects.filter(pk=gone.pk).delete()
    refused = several.pause([live, paused, gone])
    assert {*refused} == {paused.pk, gone.pk}
    assert "the status of" in str(refused[paused.pk]).lower()
    assert "has been deleted meanwhile" in str(refused[gone.pk])
    live.refresh_from_db()
    assert live.status == "paused"


def test_while_everything_is_paused_none_of_several_is_resumed():
    paused = [made("paused") for _ in range(2)]
    Hold.objects.create(queue="", by="boss")
    refused = several.resume(paused)
    assert [str(refused[one.pk]) for one in paused] == [
        f"“{one.name}” can't be resumed: boss has paused everything. Resume everything first."
        for one in paused
    ]


def test_several_that_are_cancelled_lose_their_backfill(redis_connection: Redis):
    schedules = [made("running") for _ in range(2)]
    SchedulerService.backfill(schedules[0], ago(6_000), ago(5_900))
    assert RunRequest.objects.exists()
    several.cancel(schedules)
    assert not RunRequest.objects.exists()
    assert queued(redis_connection) == []


def test_a_run_of_each_is_requested_under_the_persons_name(redis_connection: Redis):
    schedules = [made("running"), made("paused")]
    bad = make_row(function="nowhere.to_be_found")
    with history.made_by("ann"):
        refused = several.run_now([*schedules, bad], "because")
    assert {*refused} == {bad.pk}
    requests = RunRequest.objects.order_by("pk")
    assert [(one.parent, one.requested_by) for one in requests] == [
        (schedule, "ann") for schedule in schedules
    ]
    assert queued(redis_connection) == [request.run_id.job_id for request in requests]
    for schedule in schedules:
        [line] = schedule.changes.all()
        assert (line.action, line.by, line.note) == ("run_requested", "ann", "because")


@pytest.mark.usefixtures("redis_connection")
@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "run_now"])
def test_an_action_takes_the_same_queries_for_any_number_of_schedules(
    admin_client: Client, action: str
):
    url = reverse("admin:tasks_scheduledtask_act_on_several", args=[action])
    costs = []
    for number in (3, 3, 30):  # What a process reads only once doesn't count.
        schedules = [made("paused" if action == "resume" else "running") for _ in range(number)]
        sent = {"ids": ",".join(str(one.pk) for one in schedules), "confirmed": "yes", "note": "x"}
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.post(url, sent).status_code == 302
        costs.append(len(queries))
    assert costs[1] == costs[2]
