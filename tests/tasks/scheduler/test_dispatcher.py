"""Each due occurrence is put on its queue, once."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.db import DataError, OperationalError
from django.utils import timezone
from redis import Redis

from tasks import clock
from tasks.broker.keys import DISPATCH_RECORDS_KEY, MARKER_KEY, SCHEDULES_KEY
from tasks.broker.reconcile import Reconciler, reconcile
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.ledger import misfires
from tasks.ledger.settling import settle
from tasks.models import ScheduledTask
from tasks.runs.lost import Watch
from tasks.scheduler import Scheduler, dispatcher, planning
from tasks.scheduler.exchange import Exchange
from tasks.services import SchedulerService
from tasks.timing import catch_up
from tasks.timing.instants import to_score
from tests.tasks.functions import perform, queued, work_off
from tests.tasks.scheduler.bad_members import BAD_MEMBERS
from tests.tasks.scheduler.dispatch_script import score
from tests.tasks.schedules import MakeSchedule, ago

pytestmark = pytest.mark.django_db(transaction=True)


def numbered_dues(schedule: ScheduledTask, *numbers: int) -> list[datetime]:
    """Return the dues with these numbers, counted from the schedule's first."""
    first, step = schedule.first, timedelta(seconds=schedule.interval or 0)
    assert first is not None
    return [first + step * number for number in numbers]


def missed(schedule: ScheduledTask) -> list[datetime]:
    return sorted(schedule.runs.filter(status="missed").values_list("due", flat=True))


def dues(job_ids: list[str]) -> list[datetime | None]:
    return [run.due for run in map(RunId.parse, job_ids) if run is not None]


# Each occurrence once


def test_a_due_occurrence_is_dispatched_once(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(first=ago(5), settled_through=ago(6))
    assert dues(scheduler.enqueue_jobs()) == [schedule.first]
    assert scheduler.enqueue_jobs() == []
    assert len(queued(redis_connection)) == 1


def test_an_occurrence_that_is_not_due_is_not_dispatched(put: MakeSchedule, scheduler: Scheduler):
    put(first=ago(-60))
    assert scheduler.enqueue_jobs() == []


def test_a_dispatched_occurrence_runs(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(first=ago(5), settled_through=ago(6), args=[1], kwargs={"a": 2})
    scheduler.enqueue_jobs()
    work_off(redis_connection)
    run = schedule.runs.get()
    assert (run.status, run.due, run.result) == ("finished", schedule.first, [[1], {"a": 2}])


def test_an_occurrence_that_is_dispatched_again_after_a_kill_runs_once(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(first=ago(5), settled_through=ago(6))
    [job_id] = scheduler.enqueue_jobs()
    for _ in range(2):
        perform(redis_connection, job_id)
        redis_connection.delete(Job.key_for(job_id))
        redis_connection.zadd(SCHEDULES_KEY, {schedule.job_id: to_score(schedule.first)})
        scheduler.enqueue_jobs()
    assert schedule.runs.count() == 1


def test_dispatch_keeps_the_anchor_of_an_interval(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(first=ago(95), interval=30, settled_through=ago(95))
    scheduler.enqueue_jobs()
    assert score(redis_connection, schedule) == to_score(schedule.first) + 120


def test_dispatch_moves_a_cron_schedule_to_its_next_due(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(cron="* * * * *", settled_through=ago(61))
    scheduler.enqueue_jobs()
    due = schedule.next_due(timezone.now())
    assert due is not None
    assert score(redis_connection, schedule) == to_score(due)


@pytest.mark.parametrize("values", [{"interval": None}, {"repeat": 1}, {}], ids=str)
def test_dispatch_removes_an_exhausted_schedule_from_the_sorted_set(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis, values: dict[str, Any]
):
    values = values or {"end": ago(4)}
    schedule = put(first=ago(5), settled_through=ago(6), **values)
    assert len(scheduler.enqueue_jobs()) == 1
    assert score(redis_connection, schedule) is None


def test_a_score_that_is_not_a_due_of_the_spec_makes_no_occurrence(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(first=ago(1800), settled_through=ago(1700))
    scheduler.change_execution_time(
        Job.fetch(schedule.job_id, connection=redis_connection),
        datetime.now(UTC).replace(tzinfo=None),
    )
    assert scheduler.enqueue_jobs() == []
    assert score(redis_connection, schedule) == to_score(schedule.first) + 3600


def test_a_first_time_with_microseconds_makes_no_second_identity(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    first = ago(350) + timedelta(microseconds=456)
    schedule = put(first=first, interval=100, settled_through=ago(351))
    scheduler.enqueue_jobs()
    work_off(redis_connection)
    settle(redis_connection, Watch())
    schedule.refresh_from_db()
    assert schedule.runs.count() == 4
    assert schedule.settled_through == first.replace(microsecond=first.microsecond - 456) + (
        timedelta(seconds=300)
    )


def test_many_schedules_are_dispatched_in_chunks(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dispatcher, "FIRST_CHUNK", 1)
    monkeypatch.setattr(dispatcher, "LARGEST_CHUNK", 2)
    for _ in range(5):
        put(first=ago(5), settled_through=ago(6))
    assert len(scheduler.enqueue_jobs()) == 5


def test_a_chunk_is_decided_while_redis_takes_the_one_before(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dispatcher, "FIRST_CHUNK", 2)
    for _ in range(4):
        put(first=ago(5), settled_through=ago(6))
    happened: list[str] = []

    def noting(what: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            happened.append(what)
            return method(*args)

        return noted

    decide = scheduler.dispatcher.decide_steps
    monkeypatch.setattr(scheduler.dispatcher, "decide_steps", noting("decide", decide))
    monkeypatch.setattr(Exchange, "answer", noting("answer", Exchange.answer))
    assert len(scheduler.enqueue_jobs()) == 4
    assert happened[:4] == ["decide", "decide", "answer", "answer"]


def test_a_round_that_fails_while_redis_takes_a_step_leaves_no_answer_behind(
    put: MakeSchedule,
    scheduler: Scheduler,
    monkeypatch: pytest.MonkeyPatch,
    redis_connection: Redis,
):
    monkeypatch.setattr(dispatcher, "FIRST_CHUNK", 1)
    for _ in range(2):
        put(first=ago(5), settled_through=ago(6))
    decide, calls = scheduler.dispatcher.decide_steps, iter([True, False])

    def decide_once(*args: Any) -> Any:
        if next(calls):
            return decide(*args)
        raise ConnectionError("lost")

    monkeypatch.setattr(scheduler.dispatcher, "decide_steps", decide_once)
    with pytest.raises(ConnectionError):
        scheduler.dispatcher.dispatch_punctual()
    assert redis_connection.echo("mine") == b"mine"
    monkeypatch.setattr(scheduler.dispatcher, "decide_steps", decide)
    scheduler.enqueue_jobs()
    assert len(queued(redis_connection)) == 2


def test_what_comes_due_in_front_of_a_chunk_that_was_read_ahead_is_dispatched_in_this_round(
    put: MakeSchedule,
    scheduler: Scheduler,
    monkeypatch: pytest.MonkeyPatch,
    redis_connection: Redis,
):
    monkeypatch.setattr(dispatcher, "FIRST_CHUNK", 1)
    for _ in range(3):
        put(first=ago(5), settled_through=ago(6))
    decide, calls = scheduler.dispatcher.decide_steps, count()

    def decide_and_add(*args: Any) -> Any:
        if next(calls) == 1:
            put(first=ago(8), settled_through=ago(9))
        return decide(*args)

    monkeypatch.setattr(scheduler.dispatcher, "decide_steps", decide_and_add)
    assert len(scheduler.dispatcher.dispatch_punctual()) == 4


# Catch-up


@pytest.mark.parametrize(
    ("policy", "ran"), [("latest", [3]), ("all", [0, 1, 2, 3]), ("none", [])], ids=str
)
def test_misfires_run_or_are_missed_by_the_policy(
    put: MakeSchedule, scheduler: Scheduler, policy: str, ran: list[int]
):
    schedule = put(first=ago(350), interval=100, settled_through=ago(351), catch_up=policy)
    assert dues(scheduler.enqueue_jobs()) == numbered_dues(schedule, *ran)
    assert missed(schedule) == numbered_dues(schedule, *sorted({0, 1, 2, 3} - set(ran)))


def test_an_occurrence_past_its_start_deadline_is_missed_with_its_reason(
    put: MakeSchedule, scheduler: Scheduler
):
    schedule = put(first=ago(50), settled_through=ago(51), start_deadline=20)
    assert scheduler.enqueue_jobs() == []
    assert (
        schedule.runs.get().reason_in_words()
        == "It could not start within its start deadline of 20 s."
    )


def test_an_occurrence_that_has_run_is_not_recorded_as_missed(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(first=ago(350), interval=100, settled_through=ago(351), catch_up="all")
    scheduler.enqueue_jobs()
    ScheduledTask.objects.update(catch_up="none")
    redis_connection.zrem(SCHEDULES_KEY, schedule.job_id)
    reconcile(redis_connection)
    assert scheduler.enqueue_jobs() == []
    work_off(redis_connection)
    assert schedule.runs.filter(status="finished").count() == 4


@pytest.mark.parametrize("policy", ["latest", "all"])
def test_a_long_outage_is_caught_up_on_as_a_short_one(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, policy: str
):
    monkeypatch.setattr(planning, "PENDING_AT_ONCE", 50)
    monkeypatch.setattr(catch_up, "CATCH_UP_CAP", 10)
    schedule = put(first=ago(12_050), interval=100, settled_through=ago(12_051), catch_up=policy)
    ran = dues(scheduler.enqueue_jobs())
    assert ran == numbered_dues(schedule, *range(121 - (1 if policy == "latest" else 10), 121))
    assert len(missed(schedule)) == 121 - len(ran)


@pytest.mark.parametrize("add_bad_member", BAD_MEMBERS.values(), ids=BAD_MEMBERS.keys())
def test_a_member_that_cannot_be_dispatched_stops_no_schedule(
    put: MakeSchedule,
    scheduler: Scheduler,
    redis_connection: Redis,
    add_bad_member: Callable[[Redis], None],
):
    add_bad_member(redis_connection)
    schedule = put(first=ago(4), settled_through=ago(5))
    assert dues(scheduler.enqueue_jobs()) == [schedule.first]
    reconcile(redis_connection)
    assert redis_connection.exists(MARKER_KEY)
    assert scheduler.enqueue_jobs() == []


def test_a_schedule_that_cannot_be_dispatched_says_why_and_comes_back_when_it_can(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(first=ago(5), settled_through=ago(6))
    redis_connection.hset(DISPATCH_RECORDS_KEY, schedule.job_id, b"v" * 32 + b" {")
    assert scheduler.enqueue_jobs() == []
    schedule.refresh_from_db()
    assert schedule.problem.startswith("JSONDecodeError")
    reconcile(redis_connection)
    assert len(scheduler.enqueue_jobs()) == 1
    schedule.refresh_from_db()
    assert schedule.problem == ""


def test_a_schedule_that_needs_the_database_waits_for_it(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    def fail(*args: Any) -> None:
        raise OperationalError

    late = put(first=ago(50), settled_through=ago(51), catch_up="none", name="late")
    punctual = put(first=ago(4), settled_through=ago(5))
    with monkeypatch.context() as patch:
        patch.setattr(misfires, "record_not_run", fail)
        assert dues(scheduler.enqueue_jobs()) == [punctual.first]
    scheduler.enqueue_jobs()
    assert missed(late) == [late.first]


def test_an_occurrence_on_time_is_dispatched_without_the_database(
    put: MakeSchedule, scheduler: Scheduler, django_assert_num_queries: Any
):
    punctual = put(first=ago(4), settled_through=ago(5))
    put(first=ago(50), settled_through=ago(51), catch_up="none")
    put(first=ago(4), settled_through=ago(5), start_deadline=1)
    with django_assert_num_queries(0):
        assert dues(scheduler.dispatcher.dispatch_punctual()) == [punctual.first]


def test_an_occurrence_on_time_does_not_wait_for_a_database_that_hangs(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    hangs, resume = threading.Event(), threading.Event()

    def hang(*args: Any) -> None:
        hangs.set()
        resume.wait(30)

    monkeypatch.setattr(misfires, "record_not_run", hang)
    put(first=ago(50), settled_through=ago(51), catch_up="none")
    punctual = put(first=ago(4), settled_through=ago(5))
    late = threading.Thread(target=scheduler.dispatcher.catch_up)
    late.start()
    try:
        assert hangs.wait(30)
        assert dues(scheduler.dispatcher.dispatch_punctual()) == [punctual.first]
    finally:
        resume.set()
        late.join()


def test_an_occurrence_past_a_short_start_deadline_is_missed_at_once(
    put: MakeSchedule, scheduler: Scheduler
):
    schedule = put(first=ago(4), settled_through=ago(5), start_deadline=1)
    scheduler.dispatcher.dispatch_punctual()
    scheduler.dispatcher.catch_up()
    assert missed(schedule) == [schedule.first]


def test_a_missed_occurrence_that_cannot_be_recorded_stops_no_other(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    bad, good = (put(first=ago(50), settled_through=ago(51), catch_up="none") for _ in range(2))
    original = misfires.record_not_run

    def refuse_one(plans: Any, redis: Redis) -> None:
        if bad.job_id in plans:
            raise DataError
        original(plans, redis)

    monkeypatch.setattr(misfires, "record_not_run", refuse_one)
    scheduler.enqueue_jobs()
    assert missed(good) == [good.first]
    assert missed(bad) == []


@pytest.mark.parametrize("lost", ["template", "dispatch record"])
def test_a_schedule_of_which_redis_has_lost_a_part_is_restored_at_once(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis, lost: str
):
    schedule, other = (put(first=ago(5), settled_through=ago(6)) for _ in range(2))
    reconciler = Reconciler(redis_connection)
    reconciler.tick()
    if lost == "template":
        redis_connection.delete(Job.key_for(schedule.job_id))
    else:
        redis_connection.hdel(DISPATCH_RECORDS_KEY, schedule.job_id)
    assert dues(scheduler.enqueue_jobs()) == [other.first]
    reconciler.tick()
    assert dues(scheduler.enqueue_jobs()) == [schedule.first]


def test_a_schedule_whose_queue_cannot_be_used_says_so(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(first=ago(5), settled_through=ago(6), queue="low")
    other = put(first=ago(5), settled_through=ago(6))
    redis_connection.set("rq:queue:low", "x")
    assert dues(scheduler.enqueue_jobs()) == [other.first]
    schedule.refresh_from_db()
    assert schedule.problem == "Its queue in Redis can't be used."


# What is decided before it is due


@pytest.fixture
def time_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what sets the clock of this process, in seconds since the Unix epoch."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(clock, "now", lambda: datetime.fromtimestamp(seconds, UTC))
        monkeypatch.setattr(clock, "timestamp", lambda: seconds)

    return set_to


def prepared(scheduler: Scheduler, schedule: ScheduledTask) -> float:
    """Decide early what is due when the schedule is; return that time."""
    assert schedule.first is not None
    due = to_score(schedule.first)
    scheduler.dispatcher.dispatch_punctual()
    scheduler.dispatcher.prepare(due)
    return due


def test_what_was_decided_early_is_dispatched_when_it_is_due_and_not_before(
    put: MakeSchedule, scheduler: Scheduler, time_is: Callable[[float], None]
):
    schedules = [put(first=ago(-60)) for _ in range(3)]
    first = schedules[0].first
    ScheduledTask.objects.update(first=first)
    reconcile(scheduler.connection)
    due = prepared(scheduler, schedules[0])
    time_is(due - 0.001)
    assert scheduler.dispatcher.dispatch_punctual() == []
    time_is(due)
    assert dues(scheduler.dispatcher.dispatch_punctual()) == [first] * 3
    assert scheduler.dispatcher.dispatch_punctual() == []


def test_what_is_due_is_dispatched_without_being_read_if_it_was_decided_early(
    put: MakeSchedule,
    scheduler: Scheduler,
    time_is: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
):
    schedule = put(first=ago(-60))
    time_is(prepared(scheduler, schedule))
    monkeypatch.setattr(scheduler.dispatcher, "_dispatch_due", lambda this_round: this_round)
    assert dues(scheduler.dispatcher.dispatch_punctual()) == [schedule.first]


@pytest.mark.parametrize("change", ["paused", "moved", "deleted"])
def test_a_schedule_that_changed_after_its_step_was_decided_is_dispatched_as_it_is_then(
    put: MakeSchedule, scheduler: Scheduler, time_is: Callable[[float], None], change: str
):
    schedule = put(first=ago(-60))
    due = prepared(scheduler, schedule)
    if change == "paused":
        SchedulerService.pause(schedule)
    elif change == "moved":
        SchedulerService.update(schedule, first=ago(-90))
    else:
        schedule.delete()
    time_is(due)
    assert scheduler.dispatcher.dispatch_punctual() == []


def test_a_schedule_made_after_the_others_were_decided_is_dispatched_with_them(
    put: MakeSchedule, scheduler: Scheduler, time_is: Callable[[float], None]
):
    schedule = put(first=ago(-60))
    due = prepared(scheduler, schedule)
    put(first=schedule.first)
    time_is(due)
    assert dues(scheduler.dispatcher.dispatch_punctual()) == [schedule.first] * 2


def test_more_than_what_is_decided_early_is_dispatched_once(
    put: MakeSchedule,
    scheduler: Scheduler,
    time_is: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    redis_connection: Redis,
):
    monkeypatch.setattr(dispatcher, "MOST_PREPARED", 4)
    monkeypatch.setattr(dispatcher, "FIRST_CHUNK", 2)
    schedule = put(first=ago(-60))
    for _ in range(6):
        put(first=schedule.first)
    time_is(prepared(scheduler, schedule))
    assert len(scheduler.dispatcher.dispatch_punctual()) == 7
    assert len(set(queued(redis_connection))) == 7


@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_what_can_not_be_decided_early_is_left_until_it_is_due(
    put: MakeSchedule,
    scheduler: Scheduler,
    time_is: Callable[[float], None],
    redis_connection: Redis,
    name: str,
):
    schedule = put(first=ago(-60))
    assert schedule.first is not None
    BAD_MEMBERS[name](redis_connection)
    for member, _ in redis_connection.zscan_iter(SCHEDULES_KEY):
        redis_connection.zadd(SCHEDULES_KEY, {member: to_score(schedule.first)})
    before = redis_connection.zcard(SCHEDULES_KEY)
    due = prepared(scheduler, schedule)
    assert redis_connection.zcard(SCHEDULES_KEY) == before
    time_is(due)
    assert dues(scheduler.dispatcher.dispatch_punctual()) == [schedule.first]
    assert redis_connection.zcard(SCHEDULES_KEY) == 1
