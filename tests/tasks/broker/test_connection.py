"""The connection to Redis."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse
from redis import Redis
from redis.exceptions import TimeoutError
from rq import Worker

from tasks.broker import connection
from tasks.broker.connection import connect, in_a_hurry, open_connection, redis_obstacle
from tests.tasks.schedules import make_row

pytestmark = pytest.mark.django_db


def test_a_process_has_one_connection():
    assert connect() is connect()


class SilentServer:
    """Takes every connection, and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.clients: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.clients.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()
        for client in self.clients:
            client.close()


@pytest.fixture
def silent(
    redis_connection: object, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SilentServer]:
    """Run a Redis that hangs, and name it in the settings."""
    monkeypatch.undo()
    monkeypatch.setattr(connection, "PAGE_PATIENCE_SECONDS", 0.2)
    server = SilentServer()
    settings.RQ_QUEUES = {
        name: queue | {"URL": server.url} for name, queue in settings.RQ_QUEUES.items()
    }
    open_connection.cache_clear()
    yield server
    open_connection.cache_clear()
    server.close()


def test_a_page_asks_a_hanging_redis_once(silent: SilentServer, admin_client: Client):
    response = admin_client.get(reverse("admin:tasks_scheduledtask_changelist"))
    assert "Redis is unavailable (" in response.content.decode()
    assert len(silent.clients) == 1


def test_in_a_hurry_a_command_fails_at_once_after_another_has_waited_in_vain(silent: SilentServer):
    with in_a_hurry():
        with pytest.raises(TimeoutError):
            connect().ping()
        before = len(silent.clients)
        with pytest.raises(TimeoutError, match="has not answered in time"):
            connect().ping()
    assert len(silent.clients) == before


def test_a_page_says_once_that_redis_hangs_after_a_change(
    silent: SilentServer, admin_client: Client
):
    schedule = make_row()
    url = reverse("admin:tasks_scheduledtask_act", args=[schedule.pk, "pause"])
    page = admin_client.post(url, {"confirmed": "1"}, follow=True).content.decode()
    assert page.count("Redis is unavailable (") == 1


def timeout_of(redis: Redis) -> float:
    """Return how long a new connection waits."""
    made: Any = redis.connection_pool.make_connection()
    return float(made.socket_timeout or 60)


def test_others_wait_for_redis_longer_than_pages(silent: SilentServer):
    with in_a_hurry():
        page = timeout_of(connect())
    assert timeout_of(connect()) > page


def test_a_worker_object_does_not_make_pages_wait(silent: SilentServer):
    with in_a_hurry():
        Worker(["default"], connection=connect(), prepare_for_work=False)
        assert timeout_of(connect()) == connection.PAGE_PATIENCE_SECONDS


def test_a_redis_that_takes_writes_is_no_obstacle():
    assert redis_obstacle() is None
