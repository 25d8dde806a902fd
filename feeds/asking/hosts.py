"""Which host a feed is at: of the feeds of one host only a few are asked at a time."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from feeds.models import Feed
from tasks.clock import elapsed_clock

# The limit's key is made anew for each schedule whenever the rows are compared with Redis: the
# addresses of so many feeds are read at once, and known for so many seconds.
BLOCK = 500
KNOWN_SECONDS = 60.0


@dataclass(slots=True)
class _Block:
    """The hosts of the feeds whose ids lie next to each other."""

    read_at: float
    hosts: dict[int, str] = field(default_factory=dict)


_blocks: dict[int, _Block] = {}


def host_of(url: str) -> str:
    """Return the host of an address, in lower case."""
    return (urlsplit(url).hostname or "").lower()


def limit_key(feed: int) -> str:
    """Return the host of the feed with this id: what the limit of simultaneous fetches is for."""
    number = feed // BLOCK
    block = _blocks.get(number)
    if block is None or elapsed_clock() - block.read_at > KNOWN_SECONDS:
        block = _blocks[number] = _read(number)
    if feed not in block.hosts:  # It is new, as others next to it may be, or gone.
        block = _blocks[number] = _read(number)
    return block.hosts.setdefault(feed, f"feed {feed}")


def forget(feed: int) -> None:
    """Have the address of a feed read anew: it has changed."""
    block = _blocks.get(feed // BLOCK)
    if block is not None:
        block.hosts.pop(feed, None)


def _read(number: int) -> _Block:
    rows = Feed.objects.filter(pk__gte=number * BLOCK, pk__lt=(number + 1) * BLOCK)
    hosts = {pk: host_of(url) for pk, url in rows.values_list("pk", "url").iterator()}
    return _Block(elapsed_clock(), hosts)
