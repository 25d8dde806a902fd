"""What rq-scheduler offers its callers, tested on its own class and on ours.

rq-scheduler's releases come without its tests, so these are written from its documentation (with
a checkout, tests/upstream runs its own). Each must pass on the stock class, or it would not be a
test of rq-scheduler, and on ours, unless it is one of the DIFFERENCES, which are deliberate: then
it must fail.
"""

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rq_scheduler
from django.conf import LazySettings
from redis import Redis
from rq.job import Job as RqJob
from rq.queue import Queue

from tasks.scheduler import Scheduler
from tests.jobs.tasks import answer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

KEY = "rq:scheduler:scheduled_jobs"
CLASSES = {"stock": rq_scheduler.Scheduler, "ours": Scheduler}
# What our class does differently, by the name of the test, and why.
DIFFERENCES = {
    "test_a_deleted_job_leaves_the_schedule_when_jobs_are_listed": (
        "Reading never changes anything: the dispatch quarantines a member without a job."
    ),
    "test_an_interval_counts_from_its_dispatch": (
        "An interval is anchored at its first due, so it doesn't drift."
    ),
    "test_a_signal_ends_run_with_system_exit": (
        "A signal ends the loop between two steps, and `run` returns: raising SystemExit in the "
        "middle of dispatch loses schedules."
    ),
    "test_a_function_by_any_name_is_accepted_by_its_job": (
        "Only registered functions run: a job's function is looked up, never imported."
    ),
    "test_a_burst_without_the_lock_waits": (
        "A burst dispatches without the lead: every step is harmless if another takes it too."
    ),
    "test_dispatch_goes_through_enqueue_job": (
        "Dispatch enqueues a job and moves it forward in one step, if its due is still the one "
        "that was read; and of our schedules, many in one step."
    ),
}


@pytest.fixture(params=CLASSES)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "ours" and request.function.__name__ in DIFFERENCES:
        reason = DIFFERENCES[request.function.__name__]
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    return str(request.param)


@pytest.fixture
def make(kind: str, redis_connection: Redis, settings: LazySettings) -> Callable[..., Any]:
    def make_scheduler(**options: Any) -> Any:
        return CLASSES[kind](connection=redis_connection, **options)

    return make_scheduler


@pytest.fixture
def scheduler(make: Callable[..., Any]) -> Any:
    return make(queue_name="default", interval=20)


@pytest.fixture
def now() -> datetime:
    """Return now as rq-scheduler wants it: in UTC, and without a zone."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


@pytest.fixture
def signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def score(redis: Redis, job: RqJob) -> float | None:
    return redis.zscore(KEY, job.id)


def queued(redis: Redis, queue: str = "default") -> list[str]:
    return [job_id.decode() for job_id in redis.lrange(f"rq:queue:{queue}", 0, -1)]


def stored(scheduler: Any, job: RqJob) -> RqJob:
    fetched: RqJob = scheduler.job_class.fetch(job.id, connection=scheduler.connection)
    return fetched


# Scheduling


def test_enqueue_at_keeps_function_arguments_and_due(
    scheduler: Any, redis_connection: Redis, now: datetime
):
    job = scheduler.enqueue_at(now, answer, 1, 2, a=3)
    kept = stored(scheduler, job)
    assert (list(kept.args), kept.kwargs, kept.origin) == ([1, 2], {"a": 3}, "default")
    assert score(redis_connection, job) == now.replace(tzinfo=UTC).timestamp()
    assert kept.get_status() == "scheduled"


def test_enqueue_in_counts_from_now(scheduler: Any, redis_connection: Redis, now: datetime):
    job = scheduler.enqueue_in(timedelta(minutes=1), answer)
    due = now.replace(tzinfo=UTC).timestamp() + 60
    assert due <= score(redis_connection, job) <= due + 5


@pytest.mark.parametrize("how", ["enqueue_at", "enqueue_in"])
def test_enqueue_at_and_enqueue_in_take_the_options_of_the_job(
    scheduler: Any, now: datetime, how: str
):
    when = now if how == "enqueue_at" else timedelta(minutes=1)
    job = stored(
        scheduler,
        getattr(scheduler, how)(
            when,
            answer,
            job_id="an-id",
            job_ttl=9,
            job_result_ttl=8,
            job_description="text",
            timeout=7,
            meta={"a": 1},
            queue_name="low",
        ),
    )
    assert (job.id, job.ttl, job.result_ttl, job.description) == ("an-id", 9, 8, "text")
    assert (job.timeout, job.meta, job.origin) == (7, {"a": 1}, "low")


def test_schedule_keeps_interval_and_repeat(scheduler: Any, now: datetime):
    job = stored(scheduler, scheduler.schedule(now, answer, args=[1], interval=60, repeat=3))
    assert (job.meta["interval"], job.meta["repeat"], job.result_ttl) == (60, 3, -1)


def test_schedule_takes_the_options_of_the_job(scheduler: Any, now: datetime):
    options = {"id": "an-id", "ttl": 9, "result_ttl": 8, "description": "text", "timeout": 7}
    job = stored(scheduler, scheduler.schedule(now, answer, interval=60, meta={"a": 1}, **options))
    assert (job.id, job.ttl, job.result_ttl, job.description) == ("an-id", 9, 8, "text")
    assert (job.timeout, job.meta) == (7, {"a": 1, "interval": 60})


def test_schedule_refuses_repeat_without_an_interval(scheduler: Any, now: datetime):
    with pytest.raises(ValueError, match="interval"):
        scheduler.schedule(now, answer, repeat=3)


@pytest.mark.parametrize("local", [False, True])
def test_cron_keeps_its_expression_and_zone(scheduler: Any, local: bool):
    job = stored(scheduler, scheduler.cron("1 2 * * *", answer, use_local_timezone=local, repeat=4))
    assert job.meta == {"cron_string": "1 2 * * *", "use_local_timezone": local, "repeat": 4}
    assert job.result_ttl == -1
    assert job in scheduler


def test_cron_takes_the_options_of_the_job(scheduler: Any):
    options = {"id": "an-id", "ttl": 9, "result_ttl": 8, "description": "text", "timeout": 7}
    job = stored(scheduler, scheduler.cron("1 2 * * *", answer, at_front=True, **options))
    assert (job.id, job.ttl, job.result_ttl, job.description) == ("an-id", 9, 8, "text")
    assert (job.timeout, job.enqueue_at_front) == (7, True)


@pytest.mark.parametrize(
    ("cron", "seconds"),
    [("5 * * * * *", 5 * 60), ("30 5 * * * * *", 330), ("0 * ? * ?", 0), ("@hourly", 0)],
    ids=["with a year", "with seconds and a year", "with any day", "by name"],
)
def test_cron_takes_the_notations_of_the_crontab_package(
    scheduler: Any, redis_connection: Redis, cron: str, seconds: int
):
    job = scheduler.cron(cron, answer)
    due = score(redis_connection, job)
    assert due % 3600 == seconds
    assert due <= datetime.now(UTC).timestamp() + 3600


@pytest.mark.parametrize("cron", ["0 0 13 * 5", "0 0 13 * FRI *", "0 0 0 13 * 5 *"])
def test_cron_needs_both_the_day_of_month_and_the_day_of_week_to_match(
    scheduler: Any, redis_connection: Redis, cron: str
):
    job = scheduler.cron(cron, answer)
    due = datetime.fromtimestamp(score(redis_connection, job), UTC)
    assert (due.day, due.isoweekday()) == (13, 5)


def test_a_function_by_any_name_is_accepted_by_its_job(scheduler: Any, now: datetime):
    assert callable(stored(scheduler, scheduler.enqueue_at(now, "os.getpid")).func)


# Reading and changing


def test_membership_is_by_job_or_id(scheduler: Any, now: datetime):
    job = scheduler.enqueue_at(now, answer)
    assert job in scheduler
    assert job.id in scheduler
    assert "another" not in scheduler


@pytest.mark.parametrize("by_id", [False, True])
def test_cancel_takes_a_job_or_an_id(scheduler: Any, now: datetime, by_id: bool):
    job = scheduler.enqueue_at(now, answer)
    scheduler.cancel(job.id if by_id else job)
    assert job not in scheduler


def test_membership_and_cancel_take_a_job_that_rq_has_read(scheduler: Any, now: datetime):
    job = RqJob.fetch(scheduler.enqueue_at(now, answer).id, connection=scheduler.connection)
    assert job in scheduler
    scheduler.cancel(job)
    assert job not in scheduler


def test_count_and_get_jobs_take_a_limit(scheduler: Any, now: datetime):
    first = scheduler.enqueue_at(now, answer)
    second = scheduler.enqueue_at(now + timedelta(hours=1), answer)
    assert (scheduler.count(), scheduler.count(until=now)) == (2, 1)
    assert scheduler.count(until=timedelta(hours=2)) == 2
    assert [job.id for job in scheduler.get_jobs()] == [first.id, second.id]
    assert [job.id for job in scheduler.get_jobs(until=now)] == [first.id]
    assert [job.id for job in scheduler.get_jobs(until=timedelta(minutes=5))] == [first.id]
    assert [job.id for job in scheduler.get_jobs_to_queue()] == [first.id]


def test_get_jobs_returns_the_times_and_takes_a_slice(scheduler: Any, now: datetime):
    jobs = [scheduler.enqueue_at(now + timedelta(minutes=n), answer) for n in range(4)]
    [(job, at)] = scheduler.get_jobs(with_times=True, offset=2, length=1)
    assert (job.id, at) == (jobs[2].id, now + timedelta(minutes=2))


def test_a_deleted_job_leaves_the_schedule_when_jobs_are_listed(
    scheduler: Any, redis_connection: Redis, now: datetime
):
    job = scheduler.enqueue_at(now, answer)
    job.delete()
    assert list(scheduler.get_jobs()) == []
    assert score(redis_connection, job) is None


def test_change_execution_time_moves_a_job(scheduler: Any, redis_connection: Redis, now: datetime):
    job = scheduler.enqueue_at(now, answer)
    scheduler.change_execution_time(job, now + timedelta(hours=1))
    assert score(redis_connection, job) == now.replace(tzinfo=UTC).timestamp() + 3600
    scheduler.cancel(job)
    with pytest.raises(ValueError, match="not in scheduled"):
        scheduler.change_execution_time(job, now)


@pytest.mark.parametrize("queue", [None, "low"])
def test_the_queue_of_a_job_is_its_own_or_else_the_schedulers(
    make: Callable[..., Any], redis_connection: Redis, now: datetime, queue: str | None
):
    scheduler = make(queue=Queue("high", connection=redis_connection))
    job = scheduler.enqueue_at(now, answer, queue_name=queue)
    assert scheduler.get_queue_for_job(job).name == (queue or "high")
    scheduler.enqueue_jobs()
    assert queued(redis_connection, queue or "high") == [job.id]


# Dispatch


def test_a_due_job_is_enqueued_and_a_later_one_waits(
    scheduler: Any, redis_connection: Redis, now: datetime
):
    due = scheduler.enqueue_at(now, answer)
    later = scheduler.enqueue_at(now + timedelta(hours=1), answer)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == [due.id]
    assert (due in scheduler, later in scheduler) == (False, True)
    kept = stored(scheduler, due)
    assert (kept.get_status(), kept.enqueued_at is not None) == ("queued", True)


def test_a_job_at_front_is_enqueued_before_the_others(
    scheduler: Any, redis_connection: Redis, now: datetime
):
    behind = scheduler.enqueue_at(now - timedelta(seconds=2), answer)
    before = scheduler.schedule(now - timedelta(seconds=1), answer, at_front=True)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == [before.id, behind.id]


def test_enqueue_job_enqueues_at_once(scheduler: Any, redis_connection: Redis, now: datetime):
    job = scheduler.enqueue_at(now + timedelta(hours=1), answer)
    scheduler.enqueue_job(job)
    assert (queued(redis_connection), job in scheduler) == ([job.id], False)
    assert job.enqueued_at is not None


def test_enqueue_job_uses_the_job_as_it_is_given(
    scheduler: Any, redis_connection: Redis, now: datetime
):
    job = scheduler.cron("1 * * * *", answer)
    job.meta["cron_string"] = "2 * * * *"
    scheduler.enqueue_job(job)
    assert datetime.fromtimestamp(score(redis_connection, job), UTC).minute == 2


def test_a_job_with_an_interval_is_scheduled_again_after_its_dispatch(
    scheduler: Any, redis_connection: Redis, now: datetime
):
    job = scheduler.schedule(now, answer, interval=60)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == [job.id]
    assert now.replace(tzinfo=UTC).timestamp() < score(redis_connection, job)


def test_an_interval_counts_from_its_dispatch(
    scheduler: Any, redis_connection: Redis, now: datetime
):
    job = scheduler.schedule(now - timedelta(seconds=30), answer, interval=60)
    scheduler.enqueue_jobs()
    assert score(redis_connection, job) >= now.replace(tzinfo=UTC).timestamp() + 60


def test_repeats_of_a_job_are_counted(scheduler: Any, redis_connection: Redis, now: datetime):
    job = scheduler.schedule(now, answer, interval=60, repeat=2)
    scheduler.enqueue_jobs()
    assert stored(scheduler, job).meta["repeat"] == 1
    scheduler.change_execution_time(job, now)
    scheduler.enqueue_jobs()
    assert (job in scheduler, len(queued(redis_connection))) == (False, 2)


def test_dispatch_goes_through_enqueue_job(
    scheduler: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
):
    seen: list[str] = []
    monkeypatch.setattr(scheduler, "enqueue_job", lambda job: seen.append(job.id))
    job = scheduler.enqueue_at(now, answer)
    list(scheduler.enqueue_jobs())
    assert seen == [job.id]


# Schedulers


def test_one_of_two_schedulers_gets_the_lock_and_only_it_removes_it(
    make: Callable[..., Any], redis_connection: Redis
):
    first, second = make(interval=20), make(interval=20)
    assert first.acquire_lock()
    assert not second.acquire_lock()
    assert redis_connection.ttl("rq:scheduler_lock") == 30
    second.remove_lock()
    assert redis_connection.exists("rq:scheduler_lock")
    first.remove_lock()
    assert second.acquire_lock()


def test_schedulers_are_registered_by_their_names(
    make: Callable[..., Any], redis_connection: Redis
):
    one = make(name="one")
    one.register_birth()
    assert redis_connection.hexists("rq:scheduler_instance:one", "birth")
    with pytest.raises(ValueError, match="already an active"):
        make(name="one").register_birth()
    one.register_death()
    make(name="one").register_birth()


@pytest.mark.usefixtures("signals")
def test_a_burst_dispatches_and_returns(scheduler: Any, redis_connection: Redis, now: datetime):
    job = scheduler.enqueue_at(now, answer)
    scheduler.run(burst=True)
    assert queued(redis_connection) == [job.id]


@pytest.mark.usefixtures("signals")
def test_a_burst_without_the_lock_waits(
    make: Callable[..., Any], redis_connection: Redis, now: datetime, monkeypatch: Any
):
    class Waited(Exception):
        pass

    def wait(seconds: float) -> None:
        raise Waited

    monkeypatch.setattr("rq_scheduler.scheduler.time.sleep", wait)
    other, scheduler = make(interval=20), make(interval=20)
    other.acquire_lock()
    with pytest.raises(Waited):
        scheduler.run(burst=True)


@pytest.mark.usefixtures("signals")
def test_a_signal_ends_run_with_system_exit(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    scheduler = make(interval=0.1)
    ours = getattr(scheduler, "dispatcher", scheduler)
    for owner, step in ((scheduler, "enqueue_jobs"), (ours, "dispatch_punctual")):
        monkeypatch.setattr(owner, step, lambda: signal.raise_signal(signal.SIGTERM), raising=False)
    with pytest.raises(SystemExit):
        scheduler.run()


def test_the_differences_from_rq_scheduler_name_existing_tests():
    assert DIFFERENCES.keys() <= globals().keys()
