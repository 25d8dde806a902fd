"""Whether our own network works, by who has answered lately.

Each process knows that by itself, from what it asks.
"""

from tasks.clock import elapsed_clock

LATELY = 60.0
# So many hosts are known, the latest: one other than a certain one is always among them.
KNOWN = 2

_answered: dict[str, float] = {}


def note_answer(host: str) -> None:
    """Note that a public host has answered now, whatever it said."""
    _answered.pop(host, None)
    _answered[host] = elapsed_clock()
    while len(_answered) > KNOWN:
        del _answered[next(iter(_answered))]


def others_answer(host: str) -> bool:
    """Return whether another public host than this one has answered in the last minute."""
    now = elapsed_clock()
    return any(name != host and now - at <= LATELY for name, at in list(_answered.items()))
