"""Peers' own loops over schedules that are due every second: each runs until it is stopped."""

import datetime as dt
import os
import time

from redis import Redis

from benchmarks.peers.functions import noop


def rq_scheduler(number: int, first: float) -> None:
    from rq_scheduler import Scheduler

    scheduler = Scheduler(connection=Redis.from_url(os.environ["REDIS_URL"]), interval=1)
    start = dt.datetime.fromtimestamp(first, dt.UTC)
    for index in range(number):
        scheduler.schedule(start, noop, args=(index,), interval=1, id=f"noop-{index}")
    scheduler.run()


def rq_cron(number: int, first: float) -> None:
    from rq.cron import CronScheduler

    redis = Redis.from_url(os.environ["REDIS_URL"])
    scheduler = CronScheduler(connection=redis, logging_level="ERROR")
    for index in range(number):
        scheduler.register(noop, "default", args=(index,), interval=1, name=f"noop {index}")
    time.sleep(max(0, first - time.time()))
    scheduler.start()


def apscheduler(number: int, first: float) -> None:
    """APScheduler has no queue: its jobs put something on one."""
    from apscheduler.schedulers.blocking import BlockingScheduler

    redis = Redis.from_url(os.environ["REDIS_URL"])
    scheduler = BlockingScheduler(timezone="UTC")
    start = dt.datetime.fromtimestamp(first, dt.UTC)
    for index in range(number):
        scheduler.add_job(
            redis.rpush, "interval", seconds=1, args=("queue", index), next_run_time=start
        )
    scheduler.start()


def celery_beat(number: int, first: float) -> None:
    from celery.beat import PersistentScheduler, Service
    from celery.schedules import schedule

    from benchmarks.peers.celery_app import app

    app.conf.beat_schedule = {
        f"noop {index}": {"task": "noop", "schedule": schedule(1), "args": (index,)}
        for index in range(number)
    }
    directory = os.environ["DATA_DIR"]
    os.makedirs(directory, exist_ok=True)
    file = os.path.join(directory, f"beat-{os.getpid()}")
    Service(app, schedule_filename=file, scheduler_cls=PersistentScheduler).start()
