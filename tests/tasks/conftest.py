"""What the tests of the scheduling app share."""

import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import django_rq
import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from redis import Redis

from tasks.broker import leases, ownership, projection, reconcile
from tasks.ledger import housekeeping
from tasks.models import ScheduledTask
from tasks.runs import lost
from tasks.scheduler import Scheduler
from tests.tasks import functions
from tests.tasks.pages import staff
from tests.tasks.schedules import MakeSchedule, ago, make_row


@pytest.fixture
def schedule(db: None) -> ScheduledTask:
    """Return a stored schedule that Redis doesn't have."""
    return make_row()


@pytest.fixture
def put(redis_connection: Redis) -> MakeSchedule:
    """Return a function that stores a schedule and writes it to Redis."""

    def make_and_put(**values: Any) -> ScheduledTask:
        schedule = make_row(**values)
        projection.put([schedule], redis_connection)
        return schedule

    return make_and_put


@pytest.fixture
def due_schedule(put: MakeSchedule) -> ScheduledTask:
    """Return a schedule whose first occurrence is due."""
    return put(first=ago(5), settled_through=ago(6), queue="low")


@pytest.fixture
def scheduler(redis_connection: Redis) -> Scheduler:
    return django_rq.get_scheduler("default")


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Return a function that says what the task function `call` does."""

    def set_behaviour(function: Callable[..., Any]) -> None:
        monkeypatch.setattr(functions, "behaviour", function)

    return set_behaviour


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return the clock of regular work, which the test moves by `clock.now += seconds`."""
    fake = SimpleNamespace(now=1000.0)
    for module in (housekeeping, reconcile, lost):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: fake.now))
    monkeypatch.setattr(leases, "elapsed_clock", lambda: fake.now)
    return fake


@pytest.fixture
def known_owner(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process know already whose the keys in Redis are, and not check it again."""
    ownership.connect_as_owner()
    monkeypatch.setattr(ownership, "CHECK_INTERVAL", math.inf)


@pytest.fixture
def redis_unavailable(redis_connection: Redis) -> Iterator[Callable[[bool], None]]:
    """Return a function that makes Redis unreachable (True) and reachable again (False)."""
    server = redis_connection.connection_pool.connection_kwargs["server"]

    def set_unavailable(unavailable: bool) -> None:
        server.connected = not unavailable

    yield set_unavailable
    server.connected = True


@pytest.fixture
def viewer(client: Client) -> Client:
    """Return a browser of somebody who may see everything of this app and change nothing."""
    permissions = Permission.objects.filter(
        content_type__app_label="tasks", codename__startswith="view_"
    )
    client.force_login(staff(*permissions.values_list("codename", flat=True)))
    return client
