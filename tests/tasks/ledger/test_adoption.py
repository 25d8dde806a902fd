"""A database takes over the keys in Redis, and what was due before runs or is missed (R16)."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from redis import Redis

from tasks.broker.enqueue import enqueue_run
from tasks.broker.keys import OWNER_KEY, SCHEDULES_KEY, lease_key
from tasks.broker.ownership import Ownership, RedisOwnedByAnother
from tasks.job_ids import RunId
from tasks.ledger.adoption import adopt
from tasks.ledger.audit import tallies
from tasks.models import RunRequest, ScheduledTaskInstance, Task
from tasks.reasons import Code
from tasks.runs.lost import Watch, enqueue_lost_jobs
from tasks.scheduler import Scheduler
from tasks.services import SchedulerService, TaskService
from tasks.worker.queues import Queues
from tests.tasks import functions
from tests.tasks.functions import ECHO, queued
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def behind(redis_connection: Redis) -> Ownership:
    """Let the database be behind Redis, as one that was restored from a backup."""
    own = Ownership(redis_connection)
    own.check()
    redis_connection.hset(OWNER_KEY, "number", 1_000)
    with pytest.raises(RedisOwnedByAnother):
        own.check()
    return own


def adopt_by_command(choice: str) -> str:
    out = StringIO()
    call_command("adopt_redis", f"--{choice}", stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("arguments", [[], ["--run", "--missed"]])
def test_adoption_wants_exactly_one_choice(arguments: list[str]):
    with pytest.raises(CommandError):
        call_command("adopt_redis", *arguments)


@pytest.mark.parametrize("choice", ["run", "missed"])
def test_a_database_that_has_adopted_the_keys_is_refused_no_more(
    behind: Ownership, redis_connection: Redis, choice: str
):
    former = behind.mark.id
    text = adopt_by_command(choice)
    behind.check()
    assert redis_connection.hget(OWNER_KEY, "id") != former.encode()
    assert f"Until now they belonged to {behind.mark.name}." in text


def test_with_run_what_was_due_follows_the_catch_up_policy(
    behind: Ownership, redis_connection: Redis, scheduler: Scheduler
):
    schedule = make_row(first=ago(300), interval=60, settled_through=ago(301), catch_up="latest")
    text = adopt_by_command("run")
    assert "no row: 1 run, 5 are recorded as missed" in text
    assert len(scheduler.enqueue_jobs()) == 1
    assert schedule.runs.filter(status="missed").count() == 5


def test_with_missed_what_was_due_is_recorded_and_nothing_of_it_runs(
    behind: Ownership, redis_connection: Redis, scheduler: Scheduler
):
    begin = {"settled_through": ago(301), "period_start": ago(301)}
    schedule = make_row(first=ago(300), interval=60, catch_up="all", **begin)
    text = adopt_by_command("missed")
    assert "6 have been recorded as missed" in text
    assert scheduler.enqueue_jobs() == []
    reasons = schedule.runs.filter(status="missed").values_list("reason_code", flat=True)
    assert list(reasons) == [Code.ADOPTED] * 6
    [tally] = tallies([schedule.pk])
    assert tally.closes
    assert (tally.due, tally.outcomes["missed"]) == (6, 6)


def test_with_missed_a_due_that_has_a_row_keeps_it(behind: Ownership, redis_connection: Redis):
    schedule = make_row(first=ago(300), interval=60, settled_through=ago(301))
    run = make_run(schedule, due=schedule.first, status="finished")
    assert adopt(redis_connection, "missed").missed == 5
    run.refresh_from_db()
    assert run.status == "finished"


def test_with_missed_calls_that_waited_are_cancelled_and_those_reserved_for_later_are_not(
    behind: Ownership, redis_connection: Redis
):
    before = timezone.now() - timedelta(hours=1)
    waiting = Task.objects.create(name="call", function=ECHO)
    due = Task.objects.create(
        name="call", function=ECHO, status=Task.Status.RESERVED, reserved_for=before
    )
    later = Task.objects.create(
        name="call",
        function=ECHO,
        status=Task.Status.RESERVED,
        reserved_for=timezone.now() + timedelta(hours=1),
    )
    assert adopt(redis_connection, "missed").calls == 2
    statuses = dict(Task.objects.values_list("pk", "status"))
    assert statuses == {waiting.pk: "canceled", due.pk: "canceled", later.pk: "reserved"}


def test_with_run_calls_that_waited_are_enqueued_again(behind: Ownership, redis_connection: Redis):
    call = Task.objects.create(name="call", function=ECHO)
    Task.objects.update(created=timezone.now() - timedelta(hours=1))
    assert adopt(redis_connection, "run").calls == 1
    enqueue_lost_jobs(redis_connection, Watch())
    assert queued(redis_connection) == [call.job_id]


def test_with_missed_a_requested_run_is_called_off_with_its_row(
    behind: Ownership, redis_connection: Redis
):
    schedule = make_row()
    now = timezone.now()
    RunRequest.objects.create(parent=schedule, requested=now)
    RunRequest.objects.create(parent=schedule, due=ago(900), requested=now)
    assert adopt(redis_connection, "missed").requests == 2
    assert not RunRequest.objects.exists()
    row = schedule.runs.get(due=None)
    assert (row.status, row.requested, row.reason_code) == ("missed", now, Code.ADOPTED)


def test_with_missed_a_failed_run_is_not_tried_again_and_keeps_what_it_failed_for(
    behind: Ownership, redis_connection: Redis
):
    schedule = make_row(retries=3)
    run = make_run(schedule, status="failed", reason="Failed for: ValueError: x", ended=ago(5))
    assert adopt(redis_connection, "missed").retries == 1
    enqueue_lost_jobs(redis_connection, Watch())
    assert queued(redis_connection) == []
    run.refresh_from_db()
    assert run.reason_in_words().startswith("Failed for: ValueError: x (It was called off when")


@pytest.mark.parametrize(("is_leased", "status"), [(True, "running"), (False, "failed")])
def test_with_missed_a_run_that_was_running_is_closed_unless_it_has_a_lease(
    behind: Ownership, redis_connection: Redis, is_leased: bool, status: str
):
    schedule = make_row(retries=3)
    run = make_run(schedule, status="running")
    if is_leased:
        redis_connection.set(lease_key(run.run_job_id), "worker")
    adopt(redis_connection, "missed")
    run = ScheduledTaskInstance.objects.get()
    assert run.status == status
    assert queued(redis_connection) == []


def test_the_schedules_and_jobs_of_another_database_are_removed_and_all_others_stay(
    behind: Ownership, redis_connection: Redis
):
    own = make_row()
    template, external = "schedule-" + "a" * 32, "somebodys-job"
    redis_connection.zadd(SCHEDULES_KEY, {template: 1, external: 1})
    redis_connection.hset(f"rq:job:{template}", "status", "scheduled")
    jobs = [f"{template}-1000", "task-" + "b" * 32, external]
    redis_connection.rpush("rq:queue:default", *jobs)
    redis_connection.zadd("rq:scheduled:low", dict.fromkeys(jobs, 1))
    outcome = adopt(redis_connection, "run")
    assert outcome.jobs_removed == 4
    assert queued(redis_connection) == [external]
    assert redis_connection.zrange("rq:scheduled:low", 0, -1) == [external.encode()]
    members = {member.decode() for member in redis_connection.zrange(SCHEDULES_KEY, 0, -1)}
    assert members == {own.job_id, external}
    assert not redis_connection.exists(f"rq:job:{template}")


def test_jobs_that_wait_for_a_place_are_removed_too(behind: Ownership, redis_connection: Redis):
    schedule = make_row(overlap="wait", settled_through=ago(60))
    for seconds in (2, 1):
        enqueue_run(schedule, RunId(schedule.job_id, ago(seconds)), redis_connection)
    queues = Queues(redis_connection, "rq:worker:w1", "w1", 90)
    assert queues.step([], ["default"]).taken
    assert queues.step([], ["default"]).taken == []
    adopt_by_command("missed")
    assert redis_connection.keys("tasks:parked*") == []


def test_adoption_can_be_repeated(behind: Ownership, redis_connection: Redis):
    schedule = make_row(first=ago(300), interval=60, settled_through=ago(301))
    adopt(redis_connection, "missed")
    assert adopt(redis_connection, "missed").missed == 0
    assert schedule.runs.count() == 6


def test_adoption_says_that_redis_is_unavailable_and_changes_nothing(
    behind: Ownership, redis_unavailable: Any
):
    schedule = make_row(first=ago(300), interval=60, settled_through=ago(301))
    redis_unavailable(True)
    with pytest.raises(CommandError, match="Call it again when Redis can be used"):
        adopt_by_command("missed")
    assert not schedule.runs.exists()


def test_after_adoption_the_services_write_to_redis_again(
    behind: Ownership, redis_connection: Redis
):
    adopt(redis_connection, "run")
    assert SchedulerService.cron("0 7 * * *", functions.echo).projected
    assert TaskService.enqueue_task(functions.echo).status == Task.Status.QUEUED
