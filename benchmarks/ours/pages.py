"""The pages of the admin, as they are asked for by people and by the scripts of open tabs."""

import statistics
import time
from itertools import cycle, islice
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from benchmarks.ours.ledger import LIMITED_USER, USER
from tests.every_page import LIVE, Page, every_page
from tests.round_trips import redis_round_trips

TABS = 10
# What is also measured as somebody sees it who is limited to a tag.
OF_LIMITED = ("index", "overview", "schedules", "runs", "failures", "what-if")


class Tab(NamedTuple):
    """What the script of an open tab asks for: an address, and how often, in seconds."""

    url: str
    every: float


def measure(repetitions: int) -> dict[str, list[float]]:
    """Return by page: the median and the longest time in ms, queries, and round trips to Redis."""
    client = _client(USER)
    found = {page.name: _measured(client, page, repetitions) for page in every_page()}
    limited = _client(LIMITED_USER)
    for page in every_page():
        if page.name in OF_LIMITED:
            found[f"{page.name}, limited"] = _measured(limited, page, repetitions)
    return found


def _measured(client: Client, page: Page, repetitions: int) -> list[float]:
    _ask(client, page)  # What a process reads only once isn't counted.
    with CaptureQueriesContext(connection) as queries, redis_round_trips() as sent:
        _ask(client, page)
    asked = [float(len(queries)), float(len(sent))]
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        _ask(client, page)
        times.append(1000 * (time.perf_counter() - started))
    return [statistics.median(times), max(times), *asked]


def _client(user: str) -> Client:
    client = Client(SERVER_NAME="localhost")
    client.force_login(
        User.objects.get(username=user), "django.contrib.auth.backends.ModelBackend"
    )
    return client


def _ask(client: Client, page: Page) -> None:
    response = page.ask(client)
    if response.status_code != 200:
        raise RuntimeError(f"{page.name}: {response.status_code} for {page.url}")


def poll(seconds: float) -> dict[str, float]:
    """Have ten tabs ask as often as their scripts do, all by one process.

    Returns how many requests they make in a second, how busy that keeps the process, in percent,
    and the median and the longest time of an answer, in ms.
    """
    client, times = _client(USER), []
    due = [[0.0, tab] for tab in islice(cycle(tabs()), len(tabs()) * TABS)]
    for place, one in enumerate(due):
        one[0] = one[1].every * place / len(due)  # Tabs aren't opened all at once.
    for _at, tab in due:
        client.get(tab.url, **LIVE)
    begun = time.monotonic()
    while (at := min(due, key=lambda one: one[0]))[0] < seconds:
        time.sleep(max(begun + at[0] - time.monotonic(), 0))
        started = time.perf_counter()
        client.get(at[1].url, **LIVE)
        times.append(1000 * (time.perf_counter() - started))
        at[0] += at[1].every
    took = max(time.monotonic() - begun, seconds)
    return {
        "requests": len(times) / took,
        "busy": sum(times) / took / 10,
        "median": statistics.median(times),
        "longest": max(times),
    }
