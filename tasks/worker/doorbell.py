"""Waits until a queue has a job, without taking it: of all idle workers, one wakes for a job.

One idle worker listens to a queue: it blocks on the queue itself, so it hears whatever puts a job
there. The others are on a list of idle ones. In the same step in which the listener takes a job it
hands the listening over to one of these, which hears at once if there are more jobs. Its claim to
listen is renewed every second: if it dies, another one claims it within a few seconds. All of this
only saves work (R4): two listeners would both wake, and one of them would find nothing.
"""

import select
import time
from collections.abc import Collection, Sequence
from typing import Any

from redis import Redis
from redis.connection import Connection

from tasks.broker.keys import bell_key, queue_key, with_key_names

# How long a blocking command waits on the server.
BLOCK_SECONDS = 60
# How often an idle worker renews its claims, and how long they hold, in milliseconds.
LISTEN_EVERY = 1.0
CLAIM_MS = 3_000
# What stands, among the names of queues, for an interruption of the wait.
INTERRUPTED = ""
# How long a bell that nobody hears is kept, in milliseconds.
BELL_MS = 10_000
# Who hears the same job again, which then is for another lane, waits a little before it listens:
# twice as long each time, from the shortest pause to the longest, in seconds.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.05
# For scripts that define `name`, a worker's, and its `lane`: hands its listening to a queue over to
# an idle one.
HAND_OVER = f"""
local function hand_over(queue)
  local idle, time = IDLE .. lane .. queue, redis.call('TIME')
  redis.call('ZREM', idle, name)
  if redis.call('GET', LISTENER .. lane .. queue) ~= name then return end
  redis.call('ZREMRANGEBYSCORE', idle, '-inf', time[1] + time[2] / 1e6)
  local heir = redis.call('ZREVRANGE', idle, 0, 0)[1]
  if heir then
    redis.call('ZREM', idle, heir)
    redis.call('SET', LISTENER .. lane .. queue, heir, 'PX', {CLAIM_MS})
    redis.call('LPUSH', BELL .. lane .. heir, queue)
    redis.call('PEXPIRE', BELL .. lane .. heir, {BELL_MS})
  else
    redis.call('DEL', LISTENER .. lane .. queue)
  end
end
"""
# ARGV: the worker's name, its lane, then queues. Claims to listen to those that nobody listens to,
# and puts the worker on the lists of idle ones of the others. Returns those that it listens to.
LISTEN = with_key_names(f"""
local name, lane, mine, time = ARGV[1], ARGV[2], {{}}, redis.call('TIME')
for i = 3, #ARGV do
  local claim, idle = LISTENER .. lane .. ARGV[i], IDLE .. lane .. ARGV[i]
  local listener = redis.call('GET', claim)
  if not listener or listener == name then
    redis.call('SET', claim, name, 'PX', {CLAIM_MS})
    redis.call('ZREM', idle, name)
    mine[#mine + 1] = ARGV[i]
  else
    redis.call('ZADD', idle, time[1] + time[2] / 1e6 + {CLAIM_MS / 1000}, name)
    redis.call('PEXPIRE', idle, {CLAIM_MS})
  end
end
return mine
""")
# ARGV: the worker's name, its lane, then queues.
RELEASE = with_key_names(f"""
local name, lane = ARGV[1], ARGV[2]
{HAND_OVER}
for i = 3, #ARGV do hand_over(ARGV[i]) end
redis.call('DEL', BELL .. lane .. name)
""")


class Doorbell:
    """One worker's share in listening to its queues.

    BLMOVE from a list to itself leaves the list as it is, but blocks while it is empty. Each
    queue has a blocked connection of its own, and the bell has one. Only those of one `lane` share
    the listening: each lane has a listener of its own, who hears the same jobs.
    """

    def __init__(
        self, redis: Redis, worker_name: str, queues: Sequence[str], lane: str = ""
    ) -> None:
        self._pool = redis.connection_pool
        self._name = worker_name
        self._queues = list(queues)
        self._listen = redis.register_script(LISTEN)
        self._release = redis.register_script(RELEASE)
        self._lane = lane
        self._bell = bell_key(lane + worker_name)
        self._blocked: dict[str, Connection] = {}
        # The job that it has heard last of each queue, and how long it waits before it listens.
        self._heard: dict[str, bytes] = {}
        # When it claimed queues last, and the one that its bell was rung for.
        self._claimed_at = 0.0
        self._handed_over = ""
        self.pause = 0.0

    def wait(
        self, timeout: float, ignored: Collection[str] = (), interrupt: int | None = None
    ) -> bool:
        """Wait for up to `timeout` seconds; return whether a queue may have a job.

        Queues that are `ignored` aren't listened to. The wait ends as well when there is something
        to read from the file descriptor `interrupt`. Raises RedisError.
        """
        give_up = time.monotonic() + timeout
        if self.pause and _is_interrupted(self.pause, interrupt):
            return False
        try:
            mine = self._claim(ignored)
            while True:
                pause = min(LISTEN_EVERY, give_up - time.monotonic())
                rings = self._rings(mine, max(pause, 0.0), interrupt)
                if mine & rings:
                    return True
                if INTERRUPTED in rings or time.monotonic() >= give_up:
                    return False
                mine = self._take_over(mine, ignored) if rings else self._claim(ignored)
        except BaseException:
            self._disconnect()
            raise

    def _claim(self, ignored: Collection[str]) -> set[str]:
        """Return the queues that this worker listens to from now on, and block on them."""
        queues = [queue for queue in self._queues if queue not in ignored]
        answer: Any = self._listen(args=[self._name, self._lane, *queues]) if queues else []
        self._claimed_at = time.monotonic()
        return self._listen_to({queue.decode() for queue in answer})

    def _take_over(self, mine: set[str], ignored: Collection[str]) -> set[str]:
        """Listen to the queue that was handed over, too: that it is claimed, Redis knows."""
        if time.monotonic() - self._claimed_at > LISTEN_EVERY:
            return self._claim(ignored)
        return self._listen_to(mine | ({self._handed_over} - set(ignored)))

    def _listen_to(self, mine: set[str]) -> set[str]:
        """Block on these queues, and on the bell; return the queues."""
        for queue in mine - self._blocked.keys():
            key = queue_key(queue)
            self._block(queue, "BLMOVE", key, key, "LEFT", "LEFT", BLOCK_SECONDS)
        if self._bell not in self._blocked:
            self._block(self._bell, "BLPOP", self._bell, BLOCK_SECONDS)
        return mine

    def _block(self, name: str, *command: Any) -> None:
        connection = self._blocked[name] = self._pool.get_connection()
        connection.send_command(*command)

    def _rings(self, mine: set[str], pause: float, interrupt: int | None) -> set[str]:
        """Wait until one of these queues or the bell rings; return what did."""
        heard = {*mine, self._bell}
        sockets: dict[Any, str] = {
            connection._sock: name for name, connection in self._blocked.items() if name in heard
        }
        others = [] if interrupt is None else [interrupt]
        ready, _, _ = select.select([*sockets, *others], [], [], pause)
        rang = {sockets[one] for one in ready if one in sockets and self._rang(sockets[one])}
        return rang | {INTERRUPTED} if interrupt in ready else rang

    def _rang(self, name: str) -> bool:
        connection = self._blocked.pop(name)
        try:
            heard: Any = connection.read_response()
        finally:
            self._pool.release(connection)
        if heard is not None and name == self._bell:
            self._handed_over = heard[1].decode()
        elif heard is not None:
            is_same = heard == self._heard.get(name)
            longer = min(max(self.pause * 2, SHORTEST_PAUSE), LONGEST_PAUSE)
            self.pause = longer if is_same else 0.0
            self._heard[name] = heard
        return heard is not None

    def close(self) -> None:
        """Let another worker listen, and release the connections; raises RedisError."""
        try:
            self._release(args=[self._name, self._lane, *self._queues])
        finally:
            self._disconnect()

    def _disconnect(self) -> None:
        for connection in self._blocked.values():
            connection.disconnect()
            self._pool.release(connection)
        self._blocked.clear()


def _is_interrupted(pause: float, interrupt: int | None) -> bool:
    """Wait for so many seconds, or until there is something to read; return whether there is."""
    ready, _, _ = select.select([] if interrupt is None else [interrupt], [], [], pause)
    return bool(ready)
