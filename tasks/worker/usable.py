"""Which of a worker's queues can be used: a key of another type makes one of them useless."""

import logging
from collections.abc import Iterable

from redis import Redis

from tasks.broker.keys import queue_types, wrong_types

logger = logging.getLogger(__name__)


class UnusableQueues:
    """Remembers which queues can't be used, and says so once."""

    def __init__(self, redis: Redis, names: Iterable[str]) -> None:
        self._redis = redis
        self._names = list(names)
        # Why, by name.
        self._found: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def __len__(self) -> int:
        return len(self._found)

    def check(self) -> bool:
        """Look at the queues; return whether there are more that can't be used than before.

        Raises RedisError if Redis is unavailable.
        """
        before = self._found
        texts = {
            name: " ".join(wrong_types(self._redis, queue_types(name))) for name in self._names
        }
        self._found = {name: text for name, text in texts.items() if text}
        for name, text in self._found.items():
            if before.get(name) != text:
                logger.error("Queue “%s” can't be used; the others can. %s", name, text)
        for name in before.keys() - self._found.keys():
            logger.info("Queue “%s” can be used again.", name)
        return bool(self._found.keys() - before.keys())
