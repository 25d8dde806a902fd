"""Leases lapse unless they are renewed."""

import pytest
from redis import Redis

from tasks.broker.keys import lease_key
from tasks.broker.leases import (
    CERTAINTY,
    LEASE_RENEWAL_SECONDS,
    LEASE_SECONDS,
    LOST_AFTER,
    are_held,
    renew_lease,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_lease_of_a_run_lapses(redis_connection: Redis):
    renew_lease(redis_connection, "x", "w1")
    assert 0 < redis_connection.ttl(lease_key("x")) <= 15


def test_a_lease_from_before_redis_clock_was_set_back_is_shortened(redis_connection: Redis):
    renew_lease(redis_connection, "x", "w1")
    redis_connection.expire(lease_key("x"), 7_200)
    assert are_held(redis_connection, ["x", "y"]) == [True, False]
    assert 0 < redis_connection.ttl(lease_key("x")) <= LEASE_SECONDS


def test_a_run_is_closed_as_lost_in_time_and_not_between_two_renewals():
    every_look = 1
    # At the latest if its worker renewed at the database, and died when it reached Redis again.
    assert 2 * LEASE_SECONDS + CERTAINTY + 2 * every_look < LOST_AFTER
    assert min(LEASE_SECONDS, CERTAINTY) > LEASE_RENEWAL_SECONDS
