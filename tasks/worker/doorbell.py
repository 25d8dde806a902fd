"""Waits until a queue has a job, without taking it."""

import select
from collections.abc import Collection, Sequence
from typing import Any

from redis import Redis
from redis.connection import Connection

# How long a blocking command waits on the server.
BLOCK_SECONDS = 60


class Doorbell:
    """Waits until a queue has a job, without taking it.

    BLMOVE from a list to itself leaves the list as it is, but blocks while it is empty. Each
    queue has a blocked connection of its own.
    """

    def __init__(self, redis: Redis, queue_keys: Sequence[str]) -> None:
        self._pool = redis.connection_pool
        self._keys = list(queue_keys)
        self._blocked: dict[str, Connection] = {}

    def wait(self, timeout: float, ignored: Collection[str] = ()) -> bool:
        """Wait for up to `timeout` seconds; return whether a queue may have a job.

        What rings for the queues that are `ignored` is heard when they no longer are. Raises
        RedisError.
        """
        try:
            for key in self._keys:
                if key not in self._blocked and key not in ignored:
                    connection = self._pool.get_connection()
                    self._blocked[key] = connection
                    connection.send_command("BLMOVE", key, key, "LEFT", "LEFT", BLOCK_SECONDS)
            rang = [self._rang(key) for key in self._ready(timeout, ignored)]
            return any(rang)
        except BaseException:
            self.close()
            raise

    def _ready(self, timeout: float, ignored: Collection[str]) -> list[str]:
        sockets: dict[Any, str] = {
            connection._sock: key for key, connection in self._blocked.items() if key not in ignored
        }
        ready, _, _ = select.select(list(sockets), [], [], timeout)
        return [sockets[sock] for sock in ready]

    def _rang(self, key: str) -> bool:
        connection = self._blocked.pop(key)
        try:
            return connection.read_response() is not None
        finally:
            self._pool.release(connection)

    def close(self) -> None:
        """Stop waiting and release the connections."""
        for connection in self._blocked.values():
            connection.disconnect()
            self._pool.release(connection)
        self._blocked.clear()
