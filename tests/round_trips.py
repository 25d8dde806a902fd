"""How often Redis is asked: what is sent in one piece, a pipeline for example, counts once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from redis.connection import AbstractConnection


@contextmanager
def redis_round_trips() -> Iterator[list[Any]]:
    """Give the list of what is sent to Redis inside the block, a piece each."""
    sent: list[Any] = []
    send = AbstractConnection.send_packed_command

    def noted(self: Any, command: Any, *args: Any, **kwargs: Any) -> None:
        sent.append(command)
        send(self, command, *args, **kwargs)

    with patch.object(AbstractConnection, "send_packed_command", noted):
        yield sent
