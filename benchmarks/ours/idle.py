"""Very many idle workers in one process: what of them Redis sees."""

import threading
import time

from django.conf import settings
from redis import ConnectionPool, Redis

from tasks.worker.doorbell import Doorbell
from tasks.worker.queues import Finished, Queues, Taken

TTL, RESULT_TTL = 60, 500


def crowd(number: int) -> None:
    """Wait for jobs as so many workers do, and take them as they do, until stopped.

    They share a process, since that many workers need much memory. What they take isn't run, but
    reported to Redis as finished.
    """
    # Each has one that is blocked.
    pool = ConnectionPool.from_url(settings.REDIS_URL, max_connections=3 * number)
    client = Redis(connection_pool=pool)
    for index in range(number):
        threading.Thread(target=_Idle(client, f"idle-{index}").work, daemon=True).start()
    threading.Event().wait()


class _Idle:
    """A worker of which only that is there which waits for jobs and takes them."""

    def __init__(self, client: Redis, name: str) -> None:
        self._doorbell = Doorbell(client, name, ["default"])
        self._queues = Queues(client, f"rq:worker:{name}", name, TTL)

    def work(self) -> None:
        while True:
            if self._doorbell.wait(60):
                taken = self._queues.step([], ["default"], hand_over=True).taken
                while taken:
                    taken = self._queues.step([_finished(taken[0])], ["default"]).taken


def _finished(taken: Taken) -> Finished:
    now = time.time()
    return Finished(taken.job_id, taken.execution_id, taken.queue, RESULT_TTL, "", now, now)
