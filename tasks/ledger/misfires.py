"""Runs occurrences that were not dispatched in time, or records why they won't run."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import cast

from redis import Redis

from tasks import clock, registry
from tasks.broker.enqueue import enqueue_run
from tasks.broker.in_flight import are_known
from tasks.database import CHUNK
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.ledger.periods import missed_runs, write
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reasons import Code, Reason, reason
from tasks.timing import catch_up

logger = logging.getLogger(__name__)


def catch_up_lost(dues: list[datetime], schedule_pk: int, redis: Redis) -> None:
    """Run lost occurrences of a schedule, or record them as missed, by its policies."""
    schedule = ScheduledTask.objects.live().filter(pk=schedule_pk).first()
    if schedule is None or not dues:
        return
    now = clock.now()
    policy = cast(catch_up.CatchUp, schedule.catch_up)
    plan = catch_up.plan(dues, now, policy, schedule.start_deadline)
    write(missed_runs(schedule, _reasons(schedule, plan)))
    has_check = registry.has_check(schedule.function)
    counted = (len(dues), schedule.name)
    for due in plan.run:
        run_id = RunId(schedule.job_id, due)
        key = Job.key_for(run_id.job_id)
        if has_check and redis.hexists(key, "put_back"):
            # It was taken twice and never started: its check may be what kills the process.
            write(missed_runs(schedule, {due: reason(Code.NEVER_STARTED)}))
            continue
        redis.delete(key)
        enqueue_run(schedule, run_id, redis)
    logger.warning("%d occurrences of “%s” were lost: run, or recorded as missed.", *counted)


def record_not_run(plans: Mapping[str, catch_up.Plan], redis: Redis) -> None:
    """Write the rows of what won't run, for many schedules by their job ids.

    An occurrence with a job in Redis did run, or will. Existing rows stay as they are.
    """
    runs: list[ScheduledTaskInstance] = []
    for schedule in ScheduledTask.objects.filter(job_id__in=list(plans)):
        reasons = _reasons(schedule, plans[schedule.job_id])
        for due in are_known(schedule.job_id, list(reasons), redis):
            del reasons[due]
        runs += missed_runs(schedule, reasons)
        if len(runs) >= CHUNK:
            write(runs)
            runs = []
    write(runs)


def _reasons(schedule: ScheduledTask, plan: catch_up.Plan) -> dict[datetime, Reason]:
    late = reason(Code.PAST_START_DEADLINE, seconds=schedule.start_deadline)
    missed = reason(Code.NOT_IN_TIME, catch_up=schedule.catch_up)
    return dict.fromkeys(plan.late, late) | dict.fromkeys(plan.missed, missed)
