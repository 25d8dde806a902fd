"""Stores background calls, and brings them to Redis."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from tasks import clock, registry
from tasks.broker.enqueue import enqueue_task, withdraw
from tasks.broker.ownership import connect_as_owner
from tasks.database import on_commit
from tasks.definitions import TaskFunc
from tasks.exceptions import TasksError
from tasks.masking import mask_text
from tasks.models import Task
from tasks.reasons import Code, reason
from tasks.registry import Kind
from tasks.runs import at_once
from tasks.runs.stop import stop_jobs

logger = logging.getLogger(__name__)


def create_call(
    func: TaskFunc, args: Sequence[Any], kwargs: Mapping[str, Any], reserved_for: datetime | None
) -> Task:
    """Write the row of a background call, and enqueue it after the commit.

    Raises UnknownTaskFunction or InvalidArguments.
    """
    function = registry.resolve(func, Kind.BACKGROUND)
    positional, named = function.store_arguments(list(args), dict(kwargs))
    task = Task.objects.create(
        name=function.name,
        function=function.name,
        args=positional,
        kwargs=named,
        queue=function.queue,
        timeout=function.timeout,
        status=Task.Status.QUEUED if reserved_for is None else Task.Status.RESERVED,
        reserved_for=reserved_for,
    )
    on_commit(partial(_enqueue, task))
    return task


def _enqueue(task: Task) -> None:
    try:
        redis = connect_as_owner()
        if at_once.runs_at_once(task) and at_once.run(task, redis):
            task.refresh_from_db()
            return
        enqueue_task(task, redis)
    except (RedisError, TasksError) as error:
        why = reason(Code.NOT_ENQUEUED, error=str(error))
        Task.objects.filter(pk=task.pk, status__in=Task.WAITING).update(
            status=Task.Status.FAILED, ended=clock.now(), **why.fields
        )
        task.refresh_from_db()
        logger.error(
            "Background call “%s” could not be enqueued: %s", task.name, mask_text(str(error))
        )


def withdraw_call(task: Task) -> None:
    """Remove a cancelled call from Redis, and stop it if it is running."""
    try:
        redis = connect_as_owner()
        if task.started is not None:
            stop_jobs([task.job_id], redis)
        else:
            withdraw(task.job_id, task.queue, redis)
    except RedisError as error:
        logger.warning("“%s” is cancelled, but Redis is unavailable: %s", task.name, error)
