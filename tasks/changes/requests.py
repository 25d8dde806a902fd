"""Requests a run of a schedule, and takes back requests of runs that haven't started."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.utils.translation import gettext as _
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock, history, registry
from tasks.broker.connection import redis_obstacle
from tasks.broker.enqueue import enqueue_run, withdraw
from tasks.broker.ownership import connect_as_owner
from tasks.database import atomic, on_commit
from tasks.exceptions import NotPossible
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.registry import Kind
from tasks.runs import backfill
from tasks.timing.instants import from_milliseconds, to_milliseconds

logger = logging.getLogger(__name__)


def request_run(
    schedule: ScheduledTask, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
) -> RunId:
    """Do what `SchedulerService.run_now` says."""
    function = registry.resolve(schedule.function, Kind.SCHEDULED)
    arguments: dict[str, Any] | None = None
    if args is not None or kwargs is not None:
        stored = function.store_arguments(list(args or ()), dict(kwargs or {}))
        arguments = dict(zip(("args", "kwargs"), stored, strict=True))
    requested = from_milliseconds(to_milliseconds(clock.now()))
    if obstacle := redis_obstacle():
        raise without_redis(schedule, obstacle)
    redis = connect_as_owner()
    with atomic():
        known = ScheduledTask.objects.select_for_update(no_key=True).get(pk=schedule.pk)
        request, made = known.requests.get_or_create(
            due=None,
            requested=requested,
            defaults={"arguments": arguments, "requested_by": history.author()},
        )
        if not made and request.arguments != arguments:
            raise NotPossible(
                _("Another run of “%(name)s” was requested at the same time: try again.")
                % {"name": schedule.name}
            )
        run_id = request.run_id
        on_commit(partial(_enqueue, known, run_id, redis, arguments))
    return run_id


def without_redis(schedule: ScheduledTask, obstacle: str) -> NotPossible:
    """Return what to raise where a run is requested and Redis is unavailable."""
    text = _("“%(name)s” can't be run now. Redis is unavailable: %(why)s")
    return NotPossible(text % {"name": schedule.name, "why": obstacle})


def cancel_backfill(schedule: ScheduledTask) -> None:
    """Cancel the backfill runs of a schedule that have not started."""
    run_ids = [request.run_id for request in backfill.next_requests(schedule)]
    if run_ids:
        schedule.requests.filter(due__isnull=False).delete()
        on_commit(partial(_withdraw_runs, run_ids, schedule.queue))


def _withdraw_runs(run_ids: list[RunId], queue: str) -> None:
    """Take the jobs of cancelled runs out of Redis; any that stay find no request and don't run."""
    try:
        for run_id in run_ids:
            withdraw(run_id.job_id, queue, connect_as_owner())
    except RedisError as error:
        logger.warning(
            "The backfill is cancelled; its jobs stay queued until Redis is back (%s).", error
        )


def _enqueue(
    schedule: ScheduledTask, run_id: RunId, redis: Redis, arguments: dict[str, Any] | None
) -> None:
    try:
        enqueue_run(schedule, run_id, redis, arguments=arguments)
    except RedisError as error:
        logger.warning(
            "The requested run of “%s” starts once Redis is back (%s).", schedule.name, error
        )
