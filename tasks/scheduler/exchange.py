"""Lets a process work while Redis does: it sends two scripts, and reads the answers when it can."""

from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError

# A script with its keys and its arguments.
Call = tuple[Script, Sequence[Any], Sequence[Any]]


class Exchange:
    """Two scripts, sent together, which Redis executes one after the other.

    Both answers have to be read, or `abandon` called: who uses the connection next would take them
    for its own. Raises RedisError; the connection has been abandoned then.
    """

    def __init__(self, redis: Redis, first: Call, second: Call) -> None:
        self._pool = redis.connection_pool
        self._unanswered = [first, second]
        self._connection = self._pool.get_connection()
        try:
            commands = [
                ("EVALSHA", script.sha, len(keys), *keys, *args)
                for script, keys, args in self._unanswered
            ]
            self._connection.send_packed_command(self._connection.pack_commands(commands))
        except BaseException:
            self.abandon()
            raise

    def answer(self) -> Any:
        """Return the answer of the first script, or of the second one the next time."""
        script, keys, args = self._unanswered[0]
        is_known = True
        try:
            answer = self._connection.read_response()
        except NoScriptError:
            is_known = False
        except BaseException:
            self.abandon()
            raise
        self._unanswered.pop(0)
        if not self._unanswered:
            self._pool.release(self._connection)
        return answer if is_known else script(keys=keys, args=args)

    def abandon(self) -> None:
        """Give up the answers that have not been read, if there are any."""
        if self._unanswered:
            self._unanswered = []
            self._connection.disconnect()
            self._pool.release(self._connection)
