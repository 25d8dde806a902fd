"""Of many idle workers, one wakes for a job."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Event

import pytest
from redis import Redis

from tasks.broker.keys import bell_key, queue_key
from tasks.job import Job
from tasks.worker import doorbell
from tasks.worker.doorbell import LONGEST_PAUSE, Doorbell
from tasks.worker.queues import Queues
from tests.servers import Valkey, wait_for

JOBS = queue_key("default")


class Idle:
    """A worker that waits for jobs, takes each that there is, and counts how often it woke."""

    def __init__(self, redis: Redis, name: str, queues: tuple[str, ...] = ("default",)) -> None:
        self.woken, self.taken = 0, list[str]()
        self._queues = queues
        self._doorbell = Doorbell(redis, name, queues)
        self._steps = Queues(redis, f"rq:worker:{name}", name, 60)

    def work(self, stop: Event) -> None:
        while not stop.is_set():
            if self._doorbell.wait(0.5):
                self.woken += 1
                taken = self._steps.step([], self._queues, hand_over=True).taken
                self.taken += [one.job_id for one in taken]
        self._doorbell.close()

    def die(self) -> None:
        """Wait once, and then never again, without letting anybody know."""
        self._doorbell.wait(0.1)


@contextmanager
def idle_workers(valkey: Valkey, number: int) -> Iterator[list[Idle]]:
    stop, workers = Event(), []
    with ThreadPoolExecutor(number) as pool:
        futures: list[Future[None]] = []
        for index in range(number):
            workers.append(Idle(Redis.from_url(valkey.url), f"w{index}"))
            futures.append(pool.submit(workers[-1].work, stop))
        wait_for(lambda: idle(valkey) == number - 1, "all but one to be idle")
        yield workers
        stop.set()
    for future in futures:
        future.result()


def idle(valkey: Valkey) -> int:
    return int(valkey.client.zcard("tasks:idle:default"))


def enqueue(valkey: Valkey, *names: str) -> None:
    for name in names:
        valkey.client.hset(Job.key_for(name), mapping={"status": "queued"})
        valkey.client.rpush(JOBS, name)


def taken(workers: list[Idle]) -> list[str]:
    return sorted(job for worker in workers for job in worker.taken)


def have_taken(workers: list[Idle], number: int) -> bool:
    return len(taken(workers)) == number


def test_one_job_wakes_one_of_many_idle_workers(valkey: Valkey):
    with idle_workers(valkey, 12) as workers:
        for number in range(10):
            enqueue(valkey, f"job{number}")
            wait_for(partial(have_taken, workers, number + 1), "it to be taken")
        assert sum(worker.woken for worker in workers) == 10


def test_many_jobs_at_once_wake_as_many_workers_as_there_are(valkey: Valkey):
    names = [f"job{number:02}" for number in range(40)]
    with idle_workers(valkey, 12) as workers:
        pipe = valkey.client.pipeline()
        for name in names:
            pipe.hset(Job.key_for(name), mapping={"status": "queued"})
            pipe.rpush(JOBS, name)
        pipe.execute()
        wait_for(lambda: len(taken(workers)) == 40, "all to be taken")
        assert taken(workers) == names
        assert sum(bool(worker.taken) for worker in workers) > 1


def test_another_worker_listens_within_seconds_after_the_listener_died(valkey: Valkey):
    Idle(Redis.from_url(valkey.url), "dead").die()
    assert valkey.client.keys("tasks:listener:*")
    stop, heir = Event(), Idle(Redis.from_url(valkey.url), "heir")
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(heir.work, stop)
        enqueue(valkey, "job")
        wait_for(lambda: heir.taken == ["job"], "the heir to hear it", 10)
        stop.set()
    future.result()


def test_a_worker_that_stops_has_another_one_listen_at_once(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
):
    leaving = Doorbell(Redis.from_url(valkey.url), "leaving", ["default"])
    leaving.wait(0.1)
    monkeypatch.setattr(doorbell, "LISTEN_EVERY", 600.0)  # It hears of it by its bell, or not.
    stop, heir = Event(), Idle(Redis.from_url(valkey.url), "heir")
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(heir.work, stop)
        wait_for(lambda: idle(valkey) == 1, "the heir to be idle")
        leaving.close()
        enqueue(valkey, "job")
        wait_for(lambda: heir.taken == ["job"], "the heir to hear it")
        stop.set()
    future.result()
    assert not valkey.client.exists(bell_key("heir"), "tasks:listener:default")


def test_a_worker_with_a_job_is_not_asked_to_listen_to_its_other_queues(valkey: Valkey):
    both = ("default", "low")
    busy, other = (
        (Doorbell(valkey.client, name, both), Queues(valkey.client, f"rq:worker:{name}", name, 60))
        for name in ("busy", "other")
    )
    other[0].wait(0.0)
    valkey.client.delete("tasks:listener:default")
    busy[0].wait(0.0)  # It listens to one of them now, and is idle for the other.
    enqueue(valkey, "job")
    assert busy[1].step([], both, hand_over=True).taken
    other[0].close()
    assert not valkey.client.exists("tasks:listener:low", bell_key("busy"))
    busy[0].close()


def test_each_lane_has_a_listener_of_its_own(valkey: Valkey):
    plain = Doorbell(valkey.client, "w1", ("default",))
    beside = Doorbell(valkey.client, "w1", ("default",), "coroutines:")
    assert not plain.wait(0.1)
    assert not beside.wait(0.1)
    enqueue(valkey, "job")
    assert plain.wait(5)
    assert beside.wait(5)
    plain.close()
    beside.close()


def test_what_hears_the_same_job_again_and_again_listens_less_and_less_often(valkey: Valkey):
    bell = Doorbell(valkey.client, "w1", ("default",))
    enqueue(valkey, "for another lane")
    heard, give_up = 0, time.monotonic() + 1
    while time.monotonic() < give_up:
        heard += bell.wait(5)
    assert heard < 40
    bell.close()


def test_after_a_job_for_another_lane_the_next_one_is_heard_without_a_pause(valkey: Valkey):
    bell = Doorbell(valkey.client, "w1", ("default",))
    enqueue(valkey, "for another lane")
    for _ in range(10):
        assert bell.wait(5)
    assert bell.pause == LONGEST_PAUSE
    valkey.client.delete(JOBS)
    enqueue(valkey, "job")
    assert bell.wait(5)
    assert bell.pause == 0
    bell.close()


def test_a_wait_is_interrupted_by_what_can_be_read(valkey: Valkey):
    doorbell = Doorbell(valkey.client, "w1", ("default",))
    wake_up, bell = os.pipe()
    os.write(bell, b"x")
    assert not doorbell.wait(60, interrupt=wake_up)
    doorbell.close()
    for end in (wake_up, bell):
        os.close(end)
