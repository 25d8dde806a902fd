"""Peers' dispatch of schedules that are all due at once, one function each, for `benchmarks.call`.

Each prepares its schedules, times the body of the peer's own loop until all of them are on their
queue, and checks that they are.
"""

import asyncio
import datetime as dt
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from redis import Redis

from benchmarks.peers.functions import noop

LATE = dt.timedelta(seconds=5)
HOUR = 3600


def _redis() -> Redis:
    logging.disable(logging.WARNING)
    return Redis.from_url(os.environ["REDIS_URL"])


def _rate(number: int, step: Callable[[], Any], arrived: Callable[[], Any]) -> dict[str, float]:
    started = time.perf_counter()
    step()
    seconds = time.perf_counter() - started
    if arrived() != number:
        raise RuntimeError(f"only {arrived()} of {number} were dispatched")
    return {"rate": number / seconds}


def rq_scheduler(number: int, spec: str) -> dict[str, float]:
    from rq_scheduler import Scheduler

    redis = _redis()
    scheduler = Scheduler(connection=redis, interval=1)
    if spec == "cron":
        meta: dict[str, Any] = {"cron_string": "0 * * * *", "use_local_timezone": False}
    else:
        meta = {"interval": HOUR}
    due = int(time.time() - LATE.total_seconds())
    for start in range(0, number, 1000):
        with redis.pipeline(transaction=False) as pipe:
            for index in range(start, min(start + 1000, number)):
                job = scheduler._create_job(noop, args=(index,), commit=False, result_ttl=-1)
                job.meta.update(meta)
                job.save(pipeline=pipe)
                pipe.zadd(scheduler.scheduled_jobs_key, {job.id: due})
            pipe.execute()
    return _rate(number, scheduler.enqueue_jobs, lambda: redis.llen("rq:queue:default"))


def rq_cron(number: int) -> dict[str, float]:
    from rq.cron import CronScheduler

    redis = _redis()
    scheduler = CronScheduler(connection=redis)
    for index in range(number):
        scheduler.register(noop, "default", args=(index,), interval=HOUR, name=f"noop {index}")
    scheduler.register_birth()

    def step() -> None:
        scheduler.enqueue_jobs()
        scheduler.save()
        scheduler.heartbeat()

    return _rate(number, step, lambda: redis.llen("rq:queue:default"))


def huey(number: int) -> dict[str, float]:
    from huey import RedisHuey, crontab

    _redis()
    app = RedisHuey("benchmark", url=os.environ["REDIS_URL"])
    for index in range(number):
        app.periodic_task(crontab(), name=f"noop_{index}")(noop)

    def step() -> None:
        for schedule in app.read_periodic(dt.datetime(2026, 6, 1, 12, 0)):
            app.enqueue(schedule)

    return _rate(number, step, app.storage.queue_size)


def apscheduler(number: int) -> dict[str, float]:
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.schedulers.base import STATE_RUNNING

    _redis()
    submitted = 0

    class Executor(ThreadPoolExecutor):
        def submit_job(self, job: Any, run_times: Any) -> None:
            nonlocal submitted
            super().submit_job(job, run_times)
            submitted += 1

    scheduler = BackgroundScheduler(
        executors={"default": Executor()},
        timezone="UTC",
        job_defaults={"misfire_grace_time": HOUR, "coalesce": True},
    )
    scheduler.start(paused=True)
    due = dt.datetime.now(dt.UTC) - LATE
    for index in range(number):
        scheduler.add_job(
            noop, "interval", seconds=HOUR, args=(index,), id=f"{index}", next_run_time=due
        )
    # Its own thread isn't woken: the step is timed in this one.
    scheduler.state = STATE_RUNNING
    return _rate(number, scheduler._process_jobs, lambda: submitted)


def celery_beat(number: int, seconds: float) -> dict[str, float]:
    """Celery's beat sends one entry a tick and looks at all of them for it: capped."""
    from celery.beat import PersistentScheduler
    from celery.schedules import schedule

    from benchmarks.peers.celery_app import app

    redis = _redis()
    app.conf.beat_schedule = {
        f"noop {index}": {"task": "noop", "schedule": schedule(HOUR), "args": (index,)}
        for index in range(number)
    }
    file = os.path.join(os.environ["DATA_DIR"], f"beat-{os.getpid()}")
    os.makedirs(os.environ["DATA_DIR"], exist_ok=True)
    scheduler = PersistentScheduler(app=app, schedule_filename=file)
    for entry in scheduler.schedule.values():
        entry.last_run_at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=2 * HOUR)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds and redis.llen("celery") < number:
        scheduler.tick()
    return {"rate": float(redis.llen("celery")) / (time.perf_counter() - started)}


def django_q2(number: int) -> dict[str, float]:
    from django.utils import timezone
    from django_q.brokers import get_broker
    from django_q.models import Schedule
    from django_q.scheduler import scheduler

    _redis()
    Schedule.objects.bulk_create(
        [
            Schedule(
                name=f"noop {index}",
                func="benchmarks.peers.functions.noop",
                args=f"({index},)",
                schedule_type=Schedule.MINUTES,
                minutes=60,
                next_run=timezone.now() - LATE,
            )
            for index in range(number)
        ],
        batch_size=500,
    )
    broker = get_broker()
    return _rate(number, lambda: scheduler(broker), broker.queue_size)


def procrastinate(number: int) -> dict[str, float]:
    import procrastinate
    from procrastinate.periodic import PeriodicDeferrer

    _redis()
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(
            conninfo=os.environ["DATABASE_URL"], min_size=1, max_size=2
        )
    )

    @app.task(name="periodic")
    async def periodic(timestamp: int, number: int) -> None:
        """Do nothing."""

    for index in range(number):
        app.periodic_registry.register_task(
            task=periodic,
            cron="* * * * *",
            periodic_id=f"{index}",
            configure_kwargs={"task_kwargs": {"number": index}},
        )

    async def dispatch() -> dict[str, float]:
        async with app.open_async():
            deferrer = PeriodicDeferrer(registry=app.periodic_registry, max_delay=600)
            due = deferrer.get_previous_tasks(at=time.time())
            started = time.perf_counter()
            await deferrer.defer_jobs(due)
            seconds = time.perf_counter() - started
            arrived = len(list(await app.job_manager.list_jobs_async(task="periodic")))
        if arrived != number:
            raise RuntimeError(f"only {arrived} of {number} were dispatched")
        return {"rate": number / seconds}

    return asyncio.run(dispatch())
