"""Peers' calls put on their queues, one function each: workers are started afterwards."""

import asyncio
import datetime as dt
import logging
import os
from collections.abc import Callable
from typing import Any

from redis import Redis

from benchmarks.peers import functions

BATCH = 500


def rq(number: int) -> None:
    """RQ records nothing in a database: the function does."""
    from rq import Queue

    queue = Queue("default", connection=Redis.from_url(os.environ["REDIS_URL"]))
    calls = [
        Queue.prepare_data(functions.recorded, args=(index,), timeout=180, result_ttl=500)
        for index in range(number)
    ]
    for start in range(0, number, BATCH):
        queue.enqueue_many(calls[start : start + BATCH])


def huey(number: int) -> None:
    """Huey records nothing in a database: the function does."""
    from benchmarks.peers.huey_app import recorded

    _repeat(recorded, number)


def dramatiq(number: int) -> None:
    from benchmarks.peers.tasks import noop

    _repeat(noop.send, number)


def django_q2(number: int) -> None:
    from django_q.tasks import async_task

    logging.disable(logging.WARNING)
    _repeat(lambda index: async_task("benchmarks.peers.functions.stamped", index), number)


def celery(number: int) -> None:
    from benchmarks.peers.celery_app import app, noop

    with app.producer_pool.acquire() as producer:
        _repeat(lambda index: noop.apply_async((index,), producer=producer), number)


def procrastinate(number: int) -> None:
    from benchmarks.peers.procrastinate_app import app, noop

    async def defer() -> None:
        async with app.open_async():
            for start in range(0, number, BATCH):
                last = min(start + BATCH, number)
                await noop.batch_defer_async(*({"number": index} for index in range(start, last)))

    asyncio.run(defer())


def arq(number: int) -> None:
    """Arq records nothing in a database: the function does."""
    from benchmarks.peers.arq_app import enqueue

    asyncio.run(enqueue("noop", range(number)))


def celery_pauses(number: int, seconds: float, due: float) -> None:
    from benchmarks.peers.celery_app import app, pause

    eta = dt.datetime.fromtimestamp(due, dt.UTC)
    with app.producer_pool.acquire() as producer:
        _repeat(lambda _: pause.apply_async((seconds,), eta=eta, producer=producer), number)


def procrastinate_pauses(number: int, seconds: float, due: float) -> None:
    from benchmarks.peers.procrastinate_app import app, pause

    async def defer() -> None:
        async with app.open_async():
            later = pause.configure(schedule_at=dt.datetime.fromtimestamp(due, dt.UTC))
            for start in range(0, number, BATCH):
                calls = [{"seconds": seconds}] * min(BATCH, number - start)
                await later.batch_defer_async(*calls)

    asyncio.run(defer())


def arq_pauses(number: int, seconds: float, due: float) -> None:
    from benchmarks.peers.arq_app import enqueue

    asyncio.run(enqueue("pause", [seconds] * number, due))


def _repeat(call: Callable[[int], Any], number: int) -> None:
    for index in range(number):
        call(index)
