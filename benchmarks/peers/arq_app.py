"""arq's worker, and how its jobs are enqueued."""

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from arq.connections import RedisSettings, create_pool
from arq.worker import run_worker

from benchmarks.stamps import stamp

REDIS = RedisSettings.from_dsn(os.environ["REDIS_URL"])
# Each enqueueing has a connection of its own.
BATCH = 50


@asynccontextmanager
async def _recorded(function: str) -> AsyncIterator[None]:
    """Write a row at the start and at the end: arq has no records in a database."""
    from django.utils import timezone

    from benchmarks.peers.models import Run

    run = await Run.objects.acreate(function=function, status="running", started=timezone.now())
    yield
    await Run.objects.filter(pk=run.pk).aupdate(status="finished", ended=timezone.now())


async def noop(context: dict[str, Any], number: int) -> None:
    """Do nothing but record when, with a row."""
    async with _recorded("noop"):
        stamp()


async def pause(context: dict[str, Any], seconds: float) -> None:
    """Wait, and record when that began and when it ended."""
    async with _recorded("pause"):
        stamp()
        await asyncio.sleep(seconds)
        stamp()


def work(at_a_time: int) -> None:
    """Run a worker, for `benchmarks.call`. By default it polls twice a second."""
    settings = {"functions": [noop, pause], "redis_settings": REDIS, "max_jobs": at_a_time}
    run_worker(settings, poll_delay=0.01, keep_result=0, log_results=False)


async def enqueue(function: str, arguments: Iterable[Any], due: float | None = None) -> None:
    """Enqueue a call for each argument, for now or a time."""
    pool = await create_pool(REDIS)
    until = None if due is None else dt.datetime.fromtimestamp(due, dt.UTC)
    calls = [pool.enqueue_job(function, argument, _defer_until=until) for argument in arguments]
    for start in range(0, len(calls), BATCH):
        await asyncio.gather(*calls[start : start + BATCH])
    await pool.aclose()
