"""The pages of the admin, as they are asked for by people and by the scripts of open tabs."""

import statistics
import time
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Count
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

import project.wsgi  # noqa: F401  # What the site's own processes do when they start.
from benchmarks.ours.ledger import LIMITED_USER, USER
from tasks.admin_pages import health, runs, schedule_list, schedule_page, shared
from tasks.admin_pages.overview import HISTORY_MS, NOW_MS
from tasks.models import ScheduledTaskInstance as Run
from tests.every_page import LIVE, Page, every_page
from tests.round_trips import redis_round_trips

# What is also measured as somebody sees it who is limited to a tag.
OF_LIMITED = ("index", "overview", "schedules", "runs", "failures", "what-if")


class Source(NamedTuple):
    """What the script of an open tab asks for: an address, and how often, in seconds."""

    url: str
    every: float


def tabs() -> list[list[Source]]:
    """Return what the scripts of ten open tabs ask for."""
    busiest = Run.objects.order_by().values("parent").annotate(number=Count("pk"))
    schedule = busiest.order_by("-number")[0]["parent"]
    run = Run.objects.running().order_by("-pk")[0].pk
    overview = reverse("admin:tasks_overview")
    change, log = (f"admin:tasks_scheduledtaskinstance_{page}" for page in ("change", "live_log"))
    health_line = _source(reverse("admin:tasks_health"), health.REFRESH_MS)
    of_overview = [
        _source(f"{overview}?part=now", NOW_MS),
        _source(f"{overview}?part=history", HISTORY_MS),
        health_line,
    ]
    of_list = [
        _source(reverse("admin:tasks_scheduledtask_changelist"), schedule_list.REFRESH_MS),
        health_line,
    ]
    page = reverse("admin:tasks_scheduledtask_page", args=[schedule])
    of_schedule = [_source(page, schedule_page.REFRESH_MS), health_line]
    of_run = [
        _source(reverse(change, args=[run]), runs.REFRESH_RECORD_MS),
        _source(reverse(log, args=[run]), runs.REFRESH_LOG_MS),
        health_line,
    ]
    return [*[of_overview] * 3, *[of_list] * 3, *[of_schedule] * 2, *[of_run] * 2]


def _source(url: str, every_ms: int) -> Source:
    return Source(url, every_ms / 1000)


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
    shared.forget()
    with CaptureQueriesContext(connection) as queries, redis_round_trips() as sent:
        _ask(client, page)
    asked = [float(len(queries)), float(len(sent))]
    times = []
    for _ in range(repetitions):
        shared.forget()
        started = time.perf_counter()
        _ask(client, page)
        times.append(1000 * (time.perf_counter() - started))
    return [statistics.median(times), max(times), *asked]


def _client(user: str) -> Client:
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username=user), "django.contrib.auth.backends.ModelBackend")
    return client


def _ask(client: Client, page: Page) -> None:
    response = page.ask(client)
    if response.status_code != 200:
        raise RuntimeError(f"{page.name}: {response.status_code} for {page.url}")


def poll(seconds: float) -> dict[str, float]:
    """Have ten tabs ask as often as their scripts do, all of them the same process.

    Returns how many requests they make in a second, for how much of the time that keeps the process
    busy, in percent, and the median and the longest time of an answer, in ms.
    """
    client, times = _client(USER), []
    opened = tabs()
    # They aren't opened all at once.
    due = [
        (source.every * place / len(opened), source)
        for place, tab in enumerate(opened)
        for source in tab
    ]
    for source in {source for _at, source in due}:
        client.get(source.url, **LIVE)
    begun = time.monotonic()
    while due:
        at, source = due.pop(due.index(min(due)))
        time.sleep(max(begun + at - time.monotonic(), 0))
        started = time.perf_counter()
        client.get(source.url, **LIVE)
        times.append(1000 * (time.perf_counter() - started))
        if at + source.every < seconds:
            due.append((at + source.every, source))
    took = time.monotonic() - begun
    return {
        "requests": len(times) / took,
        "busy": sum(times) / took / 10,
        "polled": statistics.median(times),
        "polled longest": max(times),
    }
