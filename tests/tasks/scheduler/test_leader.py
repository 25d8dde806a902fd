"""The lease: one leads, only the owner renews and releases it, another takes over."""

import pytest
from redis import Redis

from tasks.broker.keys import LEADER_KEY
from tasks.scheduler.leader import LEASE_MS, Leadership


@pytest.fixture
def first(redis_connection: Redis) -> Leadership:
    return Leadership(redis_connection, "first")


@pytest.fixture
def second(redis_connection: Redis) -> Leadership:
    return Leadership(redis_connection, "second")


def test_only_one_of_two_schedulers_leads(first: Leadership, second: Leadership):
    assert first.hold()
    assert not second.hold()


def test_a_leader_renews_its_lease(first: Leadership, redis_connection: Redis):
    first.hold()
    redis_connection.pexpire(LEADER_KEY, 100)
    assert first.hold()
    assert redis_connection.pttl(LEADER_KEY) > 100


def test_the_lease_of_a_leader_lapses_within_fifteen_seconds(
    first: Leadership, redis_connection: Redis
):
    first.hold()
    assert 0 < redis_connection.pttl(LEADER_KEY) <= LEASE_MS <= 5_000


def test_another_scheduler_leads_when_the_lease_has_lapsed(
    first: Leadership, second: Leadership, redis_connection: Redis
):
    first.hold()
    redis_connection.delete(LEADER_KEY)
    assert second.hold()
    assert not first.hold()


def test_another_scheduler_leads_when_the_lease_is_released(first: Leadership, second: Leadership):
    first.hold()
    first.release()
    assert second.hold()


def test_only_the_leader_releases_its_lease(first: Leadership, second: Leadership):
    first.hold()
    second.release()
    assert not second.hold()


def test_a_lease_from_before_redis_clock_was_set_back_keeps_nobody_out_for_long(
    first: Leadership, second: Leadership, redis_connection: Redis
):
    first.hold()
    redis_connection.pexpire(LEADER_KEY, 7_200_000)
    assert not second.hold()
    assert 0 < redis_connection.pttl(LEADER_KEY) <= LEASE_MS
