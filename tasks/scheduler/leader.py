"""Which of several schedulers leads: a lease in Redis that only its owner renews or releases.

The lease only saves work (R4): two leaders at once would do no harm, because every step they
take is conditional on what they have seen. But nobody leads where the keys in Redis belong to
another database (R16).
"""

from redis import Redis

from tasks.broker.keys import LEADER_KEY, OWNER_KEY
from tasks.broker.ownership import Mark

# How long the lease of a leader that no longer renews it keeps the others out, in milliseconds.
LEASE_MS = 4_000
# A lease that would last for longer, in milliseconds, was granted before Redis's clock was set
# back, and its owner may be dead: it is shortened. (A stock scheduler's lasts for 70 seconds.)
LONGEST_LEASE_MS = 120_000
# KEYS: the lease, the owner mark. ARGV: token, milliseconds, and the mark of the token's database:
# id ("" if it isn't known), name and number; the milliseconds of the longest lease. Takes a free
# lease, or renews the token's own, unless the mark is another database's. A mark that Redis has
# lost is set again before others can take the namespace.
HOLD = """
local owner = redis.call('GET', KEYS[1])
local database = redis.call('HGET', KEYS[2], 'id')
if ARGV[3] ~= '' and database and database ~= ARGV[3] then
  if owner == ARGV[1] then redis.call('DEL', KEYS[1]) end
  return 0
end
if ARGV[3] ~= '' and not database then
  redis.call('HSET', KEYS[2], 'id', ARGV[3], 'name', ARGV[4], 'number', ARGV[5])
end
if not owner then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 2
end
if owner == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[6]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Leadership:
    """One process's claim to lead, named by its token."""

    def __init__(self, redis: Redis, token: str) -> None:
        self._token = token
        self._hold = redis.register_script(HOLD)
        self._release = redis.register_script(RELEASE)

    def hold(self, lease_ms: int = LEASE_MS, mark: Mark | None = None) -> bool:
        """Take or renew the lease; return whether this process leads now.

        `mark` is its database's, as last read, None as long as it hasn't been read.
        """
        own = mark or Mark("", "", 0)
        args: list[str | int] = [self._token, lease_ms, own.id, own.name, own.number]
        args.append(LONGEST_LEASE_MS)
        return bool(self._hold(keys=[LEADER_KEY, OWNER_KEY], args=args))

    def release(self) -> None:
        """Let another process lead at once, if this one leads."""
        self._release(keys=[LEADER_KEY], args=[self._token])
