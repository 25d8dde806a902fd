"""When a coroutine child gets a successor, and what of the others goes on meanwhile."""

import threading
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from typing import Any

import pytest
from redis import Redis

from tasks.broker.keys import COROUTINES_FIELDS
from tasks.worker import Worker, coroutine_keeper
from tasks.worker.coroutine_child import DRAINS
from tasks.worker.coroutine_keeper import MOST_CHILDREN, CoroutineKeeper
from tasks.worker.kept_child import KeptChild
from tasks.worker.run_table import RunTable
from tasks.worker.shared_state import Run
from tests.servers import wait_for


@pytest.fixture
def keeper(redis_connection: Redis) -> Iterator[CoroutineKeeper]:
    keeper = CoroutineKeeper(Worker(["default"], connection=redis_connection), 2)
    yield keeper
    keeper._reaper.shutdown()


class MadeUp(KeptChild):
    """A child whose process is made up: it has exited if a test says so."""

    has_exited = False
    monitored = 0

    def __init__(self, keeper: CoroutineKeeper, number: int, reap: Callable[[], Any]) -> None:
        self.theirs, ours = Pipe()
        super().__init__(keeper._worker, 0, ours, RunTable(4, number))
        self._how_to_reap = reap

    def monitor(self) -> None:
        self.monitored += 1

    def reap(self, ends: Any) -> bool:
        return bool(self._how_to_reap())

    def kill(self) -> None:
        self.has_exited = True


def put(keeper: CoroutineKeeper, *draining: bool, reap: Callable[[], Any] = bool) -> list[MadeUp]:
    """Let a keeper have children, of which some drain."""
    children = [MadeUp(keeper, number, reap) for number in range(len(draining))]
    for child, is_draining in zip(children, draining, strict=True):
        child.is_draining = is_draining
    keeper.children = tuple(children)
    return children


@pytest.mark.parametrize(
    ("draining", "is_due"),
    [
        ([], True),
        ([False], False),
        ([True], True),
        ([True, False], False),
        ([True] * (MOST_CHILDREN - 1), True),
        ([True] * MOST_CHILDREN, False),
    ],
)
def test_a_successor_is_due_if_no_child_takes_jobs_and_not_too_many_drain(
    keeper: CoroutineKeeper, draining: list[bool], is_due: bool
):
    put(keeper, *draining)
    assert keeper._is_successor_due() == is_due


def test_a_worker_that_is_to_stop_forks_no_successor(keeper: CoroutineKeeper):
    put(keeper, True)
    keeper.request_stop()
    assert not keeper._is_successor_due()


def test_a_child_is_monitored_while_another_one_that_died_waits_for_redis(keeper: CoroutineKeeper):
    answered = threading.Event()
    dead, alive = put(keeper, True, False, reap=lambda: answered.wait(30))
    dead.has_exited = True
    while alive.monitored < 3:
        keeper._follow()
    assert keeper.children == (dead, alive)
    answered.set()
    wait_for(lambda: is_gone(keeper, dead), "the end of the dead child")


def is_gone(keeper: CoroutineKeeper, child: MadeUp) -> bool:
    keeper._follow()
    return child not in keeper.children


def test_a_child_that_says_that_it_drains_does(keeper: CoroutineKeeper):
    [child] = put(keeper, False)
    child.theirs.send(DRAINS)
    keeper._follow()
    assert (child.is_draining, child.is_exiting) == (True, False)


def exit_and_follow(keeper: CoroutineKeeper, child: MadeUp) -> None:
    child.has_exited = True
    wait_for(lambda: is_gone(keeper, child), "the end of the child")


def test_what_a_dead_child_had_is_no_longer_counted(
    keeper: CoroutineKeeper, redis_connection: Redis
):
    dead, other = put(keeper, True, False)
    for child in (dead, other):
        child.table.take([Run("job", "1", "default", 60, 1.0, 2.0)])
    redis_connection.hset(keeper._worker.key, mapping=dict[Any, Any](keeper.running))
    exit_and_follow(keeper, dead)
    assert dead.table.slots_taken == 0
    assert keeper.running == {COROUTINES_FIELDS[1]: 1}
    wait_for(
        lambda: redis_connection.hkeys(keeper._worker.key) == [COROUTINES_FIELDS[1].encode()],
        "a hash that says nothing of the dead child",
    )


def test_what_a_child_had_whose_end_cannot_be_recorded_is_no_longer_counted(
    keeper: CoroutineKeeper, caplog: pytest.LogCaptureFixture
):
    def fail() -> None:
        raise ValueError("any")

    [dead] = put(keeper, True, reap=fail)
    dead.table.take([Run("job", "1", "default", 60, 1.0, 2.0)])
    exit_and_follow(keeper, dead)
    assert dead.table.slots_taken == 0
    assert "A coroutine child of worker" in caplog.text


def test_a_fork_that_fails_is_tried_again_and_costs_the_others_nothing(
    keeper: CoroutineKeeper, monkeypatch: pytest.MonkeyPatch
):
    def fail(redis: Redis) -> int:
        raise OSError("no memory")

    monkeypatch.setattr(coroutine_keeper, "fork", fail)
    monkeypatch.setattr(coroutine_keeper, "RETRY_SECONDS", 0.0)
    children = put(keeper, True)
    keeper._try_to_fork()
    assert keeper.children == tuple(children)
    assert keeper._is_successor_due()
