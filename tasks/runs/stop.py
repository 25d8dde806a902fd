"""Stops runs and background calls that are running, through the workers that run them."""

import logging
from collections.abc import Iterable

from redis import Redis
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError

logger = logging.getLogger(__name__)


def stop_jobs(job_ids: Iterable[str], redis: Redis) -> None:
    """Have the workers that run these jobs kill the children that do, and record it on the rows.

    A job that isn't running is left alone. Raises RedisError.
    """
    for job_id in job_ids:
        try:
            send_stop_job_command(redis, job_id)
        except (NoSuchJobError, InvalidJobOperation) as error:
            logger.info("Job %s isn't running: %s", job_id, error)
