"""Records occurrences that never ran, and runs those that still shall."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import cast

from django.utils import timezone
from redis import Redis

from tasks.broker.enqueue import enqueue_run
from tasks.broker.in_flight import are_known
from tasks.database import CHUNK
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.ledger.periods import missed_runs, write, write_missed
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.timing import catch_up

logger = logging.getLogger(__name__)


def fill(dues: list[datetime], schedule_pk: int, redis: Redis) -> None:
    """Run lost occurrences of a schedule, or record them as missed, by its policies."""
    schedule = ScheduledTask.objects.live().filter(pk=schedule_pk).first()
    if schedule is None or not dues:
        return
    now = timezone.now()
    policy = cast(catch_up.CatchUp, schedule.catch_up)
    plan = catch_up.plan(dues, now, policy, schedule.start_deadline)
    record_missed(schedule, plan)
    for due in plan.run:
        run_id = RunId(schedule.job_id, due)
        redis.delete(Job.key_for(run_id.job_id))
        enqueue_run(schedule, run_id, redis)
    logger.warning("%d lost occurrences of “%s” were made up for.", len(dues), schedule.name)


def record_not_run(plans: Mapping[str, catch_up.Plan], redis: Redis) -> None:
    """Write the rows of what won't run, for many schedules by their job ids.

    What Redis has a job of did run, or will. Existing rows stay as they are.
    """
    rows = {
        schedule.job_id: schedule
        for schedule in ScheduledTask.objects.filter(job_id__in=list(plans))
    }
    runs: list[ScheduledTaskInstance] = []
    for job_id, schedule in rows.items():
        reasons = _reasons(schedule, plans[job_id])
        for due in are_known(job_id, list(reasons), redis):
            del reasons[due]
        runs += missed_runs(schedule, reasons)
        if len(runs) >= CHUNK:
            write(runs)
            runs = []
    write(runs)


def record_missed(schedule: ScheduledTask, plan: catch_up.Plan) -> None:
    """Write the rows of occurrences that will not run; existing rows stay as they are."""
    write_missed(schedule, _reasons(schedule, plan))


def _reasons(schedule: ScheduledTask, plan: catch_up.Plan) -> dict[datetime, str]:
    late = f"It could not start within its start deadline of {schedule.start_deadline} s."
    missed = f"It could not be dispatched in time (catch-up: {schedule.catch_up})."
    return dict.fromkeys(plan.late, late) | dict.fromkeys(plan.missed, missed)
