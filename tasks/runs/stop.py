"""Stops runs and background calls that are running, through the workers that run them."""

import logging
from collections.abc import Iterable
from functools import partial

from django.db.models import Q
from django.utils.translation import gettext as _
from redis import Redis
from redis.exceptions import RedisError
from rq.command import send_command, send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError

from tasks.broker.ownership import connect_as_owner
from tasks.database import on_commit
from tasks.exceptions import NotPossible
from tasks.models import ScheduledTaskInstance
from tasks.reasons import TO_BE_ENDED, Code, Reason, reason

logger = logging.getLogger(__name__)

# How long what a run says about who stopped it may be.
BY_LENGTH = 150


def stop_jobs(job_ids: Iterable[str], redis: Redis) -> None:
    """Have the workers that run these jobs kill the children that do, and record it on the rows.

    A job that isn't running is left alone. Raises RedisError.
    """
    for job_id in job_ids:
        try:
            send_stop_job_command(redis, job_id)
        except (NoSuchJobError, InvalidJobOperation) as error:
            logger.info("Job %s isn't running: %s", job_id, error)


def stopped(by: str) -> Reason:
    """Return the reason of a run that was stopped, with the name of the user who did."""
    return reason(Code.STOPPED_BY, by=by[:BY_LENGTH]) if by else reason(Code.STOPPED)


def request_stop(run: ScheduledTaskInstance, by: str = "") -> None:
    """Have a running run stopped; see `SchedulerService.stop_run`.

    Its row stays `running`: until its worker has ended it, no other run may take its place. The
    row says that it is to be stopped, so a worker that doesn't reach Redis learns it too, and
    whoever closes the run in place of a dead worker closes it as canceled.
    """
    is_new = run.update_attempt(Q(reason_code=None), **stopped(by).fields)
    run.refresh_from_db(fields=["status", "ended", "reason_code", "reason_values"])
    if not is_new and (run.ended is not None or run.reason_code not in TO_BE_ENDED):
        raise NotPossible(
            _("Run %(id)s of “%(name)s” isn't running: it is %(status)s.")
            % {"id": run.pk, "name": run.name, "status": run.get_status_display()}
        )
    on_commit(partial(_send_stop, run))


def _send_stop(run: ScheduledTaskInstance) -> None:
    try:
        _command(run, connect_as_owner())
    except RedisError as error:
        logger.warning(
            "Run %s of “%s” is stopped once its worker learns it: Redis is unavailable (%s).",
            *(run.pk, run.name, error),
        )


def stop_again(redis: Redis) -> None:
    """Repeat the command for the runs that are to be ended and are still going.

    A worker misses it while its connection to Redis is interrupted. Raises RedisError.
    """
    runs = ScheduledTaskInstance.objects.running().filter(reason_code__in=TO_BE_ENDED)
    of_run = ("attempt", "due", "requested", "worker_name", "parent__job_id")
    for run in runs.select_related("parent").only(*of_run):
        _command(run, redis)


def _command(run: ScheduledTaskInstance, redis: Redis) -> None:
    """Tell the worker that the row names: also a Redis that was emptied passes it on."""
    send_command(redis, run.worker_name, "stop-job", job_id=run.run_job_id)
