"""A gap between the requests to a host, kept by all workers together.

Redis holds, for each host, when its next request may be made. Without Redis nothing waits for that:
a gap isn't worth a poll.
"""

import asyncio

from redis.exceptions import RedisError

from tasks.broker.connection import connect
from tasks.broker.keys import TURN_PREFIX
from tasks.outages import redis_outage

# KEYS: of the host. ARGV: the gap in ms. Returns after how many ms the request may be made.
RESERVE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local gap = tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%d', at + gap), 'PX', at - now + gap)
return at - now
"""


async def wait_for_turn(host: str, gap: int) -> float:
    """Wait for the next turn to ask a host, `gap` ms after the last; return how long, in seconds.

    Requests to other hosts go on meanwhile.
    """
    if not gap:
        return 0.0
    seconds = await asyncio.to_thread(_reserve, host, gap) / 1000
    await asyncio.sleep(seconds)
    return seconds


def _reserve(host: str, gap: int) -> int:
    try:
        return int(connect().eval(RESERVE, 1, f"{TURN_PREFIX}{host}", gap))
    except RedisError as error:
        redis_outage.report(error)
        return 0
