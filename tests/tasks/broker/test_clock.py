"""Redis's clock is read, and whose clock is off is said."""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import rq.job
import rq.queue
import rq.registry
import rq.utils
import rq.worker.base
from redis import Redis
from redis.exceptions import ConnectionError

from tasks import clock
from tasks.broker.clock import PUBLISHED_FOR, ClockKeeper, notices, offsets, read, refresh


@pytest.fixture
def system_is_ahead(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets the system's clock, but not Redis's."""
    right = time.time
    # fakeredis would read it, too.
    monkeypatch.setattr("tasks.broker.clock.read", lambda redis: observe())

    def observe() -> float:
        at = clock.elapsed_clock()
        return clock.observe(right(), at, at)

    def set_clock(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: right() + seconds)

    return set_clock


@pytest.fixture
def keeper(redis_connection: Redis) -> ClockKeeper:
    return ClockKeeper(redis_connection, "Worker w1")


def test_the_time_is_that_of_redis_as_soon_as_it_was_read(
    redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(redis_connection, "time", lambda: (5_000, 250_000))
    read(redis_connection)
    assert 5_000.25 <= clock.timestamp() < 5_060


def test_while_redis_is_unavailable_the_last_known_offset_holds(
    redis_connection: Redis, monkeypatch: pytest.MonkeyPatch, redis_unavailable: Any
):
    monkeypatch.setattr(redis_connection, "time", lambda: (5_000, 0))
    refresh(redis_connection)
    monkeypatch.setattr(redis_connection, "time", raise_unavailable)
    refresh(redis_connection)
    assert 5_000 <= clock.timestamp() < 5_060


def raise_unavailable() -> None:
    raise ConnectionError


def test_a_process_says_once_that_its_clock_is_off_again_when_that_changes_and_when_it_ends(
    keeper: ClockKeeper, system_is_ahead: Callable[[float], None], caplog: Any
):
    caplog.set_level("INFO", "tasks.broker.clock")
    for seconds in (0, 7200, 7200.5, -300, -300, 0.5, 0):
        system_is_ahead(seconds)
        keeper.keep()
    said = [re.sub(r"\.\d s", " s", record.getMessage()) for record in caplog.records]
    assert said == [
        "Worker w1: the system's clock is 7200 s ahead of Redis's, which is the one that counts.",
        "Worker w1: the system's clock is 300 s behind Redis's, which is the one that counts.",
        "Worker w1: the system's clock agrees with Redis's again.",
    ]


def test_people_are_told_whose_clock_is_off_as_long_as_it_is(
    keeper: ClockKeeper,
    system_is_ahead: Callable[[float], None],
    redis_connection: Redis,
):
    system_is_ahead(7200)
    keeper.keep()
    [notice] = notices(redis_connection)
    assert notice == "Worker w1: the system's clock is 2 h ahead of Redis's, which counts."
    system_is_ahead(0)
    keeper.keep()
    assert notices(redis_connection) == []


def test_nobody_is_told_about_the_clock_of_a_process_that_has_ended(
    keeper: ClockKeeper,
    system_is_ahead: Callable[[float], None],
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
):
    system_is_ahead(-60)
    keeper.keep()
    keeper.withdraw()
    assert offsets(redis_connection) == {}
    ClockKeeper(redis_connection, "killed").keep()
    later = clock.now() + timedelta(seconds=PUBLISHED_FOR + 1)
    monkeypatch.setattr(clock, "timestamp", later.timestamp)
    assert offsets(redis_connection) == {}


@pytest.mark.parametrize(("seconds", "way"), [(3600, "forward"), (-3600, "back")])
def test_people_are_told_that_redis_own_clock_was_set(
    keeper: ClockKeeper,
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
    way: str,
):
    monkeypatch.setattr(redis_connection, "time", lambda: (1_000_000, 0))
    keeper.keep()
    monkeypatch.setattr(redis_connection, "time", lambda: (1_000_000 + seconds, 0))
    keeper.keep()
    assert any(f"clock was set {way} by 1 h at " in notice for notice in notices(redis_connection))


def test_rqs_own_code_goes_by_redis_clock():
    at = clock.elapsed_clock()
    clock.observe(5_000.0, at, at)
    modules: list[Any] = [rq.job, rq.queue, rq.registry, rq.utils, rq.worker.base]
    assert {module.now().year for module in modules} == {1970}
    assert 5_000 <= rq.utils.current_timestamp() < 5_060
