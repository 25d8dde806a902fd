"""A Redis that answers, but refuses writes or the password, is named wherever it matters."""

from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from redis import Redis

from tasks.broker.connection import open_connection, redis_obstacle
from tasks.models import RunRequest, ScheduledTask, Task
from tasks.services import SchedulerService
from tests.servers import Valkey

pytestmark = pytest.mark.django_db(transaction=True)


def _without_replicas(redis: Redis) -> None:
    redis.config_set("min-replicas-to-write", 1)


def _out_of_memory(redis: Redis) -> None:
    redis.config_set("maxmemory", 1)


def _as_a_replica(redis: Redis) -> None:
    redis.replicaof("127.0.0.1", 1)


@pytest.fixture(params=[_without_replicas, _out_of_memory, _as_a_replica])
def refuse_writes(request: pytest.FixtureRequest, valkey: Valkey) -> Iterator[Callable[[], None]]:
    """Return a function after which Redis refuses writes."""
    yield lambda: request.param(valkey.client)
    valkey.client.replicaof("NO", "ONE")
    valkey.client.config_set("min-replicas-to-write", 0)
    valkey.client.config_set("maxmemory", 0)


@pytest.fixture
def schedule() -> ScheduledTask:
    return SchedulerService.schedule(
        timezone.now(), "tests.jobs.note", ["/dev/null"], interval=3600
    )


def act(client: Client, schedule: ScheduledTask, action: str) -> str:
    url = reverse("admin:tasks_scheduledtask_act", args=[schedule.pk, action])
    return client.post(url, follow=True).content.decode()


def test_run_now_says_that_it_failed(
    refuse_writes: Callable[[], None], admin_client: Client, schedule: ScheduledTask
):
    refuse_writes()
    page = act(admin_client, schedule, "run_now")
    assert "can&#x27;t be run now. Redis is unavailable:" in page
    assert "run was enqueued" not in page
    assert not RunRequest.objects.exists()


def test_a_change_of_a_schedule_says_when_it_takes_effect(
    refuse_writes: Callable[[], None], admin_client: Client, schedule: ScheduledTask
):
    refuse_writes()
    page = act(admin_client, schedule, "pause")
    assert "changes to schedules are saved and take effect when it is back" in page


def test_a_call_is_not_accepted(refuse_writes: Callable[[], None], admin_client: Client):
    refuse_writes()
    data = {"function": "tests.jobs.process_id", "args": "[]", "kwargs": "{}"}
    response = admin_client.post(reverse("admin:tasks_task_add"), data)
    assert "can&#x27;t be enqueued. Redis is unavailable:" in response.content.decode()
    assert not Task.objects.exists()


def test_a_wrong_password_is_named(valkey: Valkey):
    valkey.client.config_set("requirepass", "right")
    try:
        open_connection.cache_clear()
        assert "it refuses the user or password" in (redis_obstacle() or "")
    finally:
        Redis.from_url(valkey.url, password="right").config_set("requirepass", "")
        open_connection.cache_clear()
