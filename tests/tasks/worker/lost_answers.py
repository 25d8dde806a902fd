"""A Redis whose answers get lost on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError


@contextmanager
def lost_answers(redis: Redis) -> Iterator[None]:
    """Inside the block, Redis does what it is told, and no answer arrives."""
    connection_class: Any = redis.connection_pool.connection_class
    read = connection_class.read_response

    def lose(self: Any, *args: Any, **kwargs: Any) -> None:
        read(self, *args, **kwargs)
        raise RedisConnectionError("The answer is lost.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_class, "read_response", lose)
        yield
