"""The script that dispatches, run for due schedules, and what Redis has of them then."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from redis import Redis
from rq.utils import utcformat

from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY
from tasks.broker.projection import VERSION_LENGTH, dispatch_record
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.scheduler.dispatcher import Dispatcher, Round, as_json
from tasks.scheduler.planning import Step
from tasks.scheduler.scripts import DISPATCH
from tasks.timing.instants import to_milliseconds, to_score

NOW = utcformat(timezone.now())


def planned(dispatcher: Dispatcher) -> tuple[list[Step], datetime]:
    """Return the steps that a dispatcher takes next, and for when they are planned."""
    this_round = Round("-inf", at_least_late_ms=0)
    dispatcher._read(this_round)
    [chunk] = this_round.ahead
    steps, _ = dispatcher.decide_steps(chunk.due, chunk.now)
    return steps, chunk.now


def take(dispatcher: Dispatcher, steps: list[Step], now: datetime) -> list[str]:
    """Have planned steps taken; return the ids of the jobs that were put on their queues."""
    script, keys, args = dispatcher._taking(as_json(steps), now)
    return dispatcher._taken(script(keys=keys, args=args))


def dispatch(redis: Redis, schedule: ScheduledTask, **changes: Any) -> list[str]:
    """Run the script for the schedule's first occurrence, with changes to its step."""
    return run_script(redis, step(schedule, **changes))[0]


def step(schedule: ScheduledTask, **changes: Any) -> Step:
    """Return the step of the schedule's first occurrence, with changes."""
    values = {
        "job_id": schedule.job_id,
        "score": to_score(schedule.first),
        "version": dispatch_record(schedule)[:VERSION_LENGTH],
        "queue": schedule.queue,
        "next_due": to_milliseconds(schedule.first + timedelta(seconds=schedule.interval)),
        "run_job_ids": (RunId(schedule.job_id, schedule.first).job_id,),
    }
    return Step(**values | changes)


def run_script(redis: Redis, *steps: Step) -> list[list[str]]:
    """Run the script; return the ids that it pushed, of lost templates, and of stuck schedules."""
    answer = redis.eval(DISPATCH, 2, SCHEDULES_KEY, DISPATCH_RECORDS_KEY, NOW, as_json(steps))
    return [text.decode().split() for text in answer]


def score(redis: Redis, schedule: ScheduledTask) -> float | None:
    """Return when Redis says that the schedule is due next."""
    return redis.zscore(SCHEDULES_KEY, schedule.job_id)
