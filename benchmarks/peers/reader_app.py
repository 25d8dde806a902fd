"""lemon24/reader polls feeds, with threads: its parser and its database have one process."""

import time
from typing import Any

from reader import make_reader

from benchmarks import feed_server


def poll(path: str, port: int, number: int, workers: int) -> dict[str, float]:
    """Return how many feeds a second are polled, unchanged and with new content.

    `path` is where its database will be.
    """
    reader = make_reader(path)
    for url in feed_server.addresses(port, number):
        reader.add_feed(url)
    entries = number * feed_server.ENTRIES
    _time(reader, workers, new=entries)
    unchanged = _time(reader, workers, new=0)
    feed_server.renew(port)
    return {"unchanged": number / unchanged, "new": number / _time(reader, workers, new=entries)}


def _time(reader: Any, workers: int, new: int) -> float:
    """Return how many seconds it takes to poll all feeds, with so many new entries."""
    started = time.perf_counter()
    # By default it leaves out what it has polled during the last hour.
    polled = [one.value for one in reader.update_feeds_iter(scheduled=False, workers=workers)]
    seconds = time.perf_counter() - started
    if failed := [value for value in polled if isinstance(value, Exception)]:
        raise RuntimeError(f"{len(failed)} polls failed, such as {failed[0]}")
    found = sum(value.new for value in polled if value is not None)
    if found != new:
        raise RuntimeError(f"{found} new entries instead of {new}")
    return seconds
