"""What each page asks of the database and of Redis: it doesn't grow with what there is."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, resolve, reverse
from redis import Redis

from feeds.models import Entry, Feed
from feeds.storing import keep_document
from tasks.admin_pages import shared
from tasks.admin_pages.links import schedule_page
from tasks.broker.keys import CONCURRENCY_FIELD, COROUTINES_FIELDS, LEADER_KEY, queue_key
from tasks.job_ids import RunId
from tasks.models import Calendar, Hold, ScheduledTask, Tag, TagUser, Task, WeeklySummary
from tasks.worker import Worker
from tests.every_page import Page, every_page
from tests.round_trips import redis_round_trips
from tests.tasks.functions import CALL
from tests.tasks.pages import SCHEDULES, page_of, staff
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db

HEALTH, OVERVIEW = reverse("admin:tasks_health"), reverse("admin:tasks_overview")
LIVE = {"X-Live": "1"}

# Of the page that asks most: that of a schedule.
MOST_QUERIES, MOST_ROUND_TRIPS = 32, 5
STATUSES = ("running", "failed", "paused", "death")
# What isn't looked at, or only where it is another page's: what acts, reveals or completes.
NOT_SHOWN = re.compile(
    r"_(act|reveal|history|choices)$|^tasks_(resume_hold|overview_changelist|scheduledtask_delete)$"
    r"|(instance|entry)_(add|delete)$|^feeds_(entry_(star|tag)|faileddocument_add)$"
)


def fill(redis: Redis, number: int) -> None:
    """Store so many of everything that a page shows, and so many jobs and workers in Redis."""
    redis.set(LEADER_KEY, "leader")
    for place in range(number):
        # The first one is the busiest.
        schedule = ScheduledTask.objects.order_by("pk").first() or make_row(queue="low")
        of_status = make_row(
            name=f"check {ScheduledTask.objects.count()}",
            status=(status := STATUSES[place % len(STATUSES)]),
            paused_at=ago(60) if status == "paused" else None,
            calendar=Calendar.objects.create(name=f"c{Calendar.objects.count()}"),
        )
        of_status.tags.add(Tag.objects.create(name=f"t{Tag.objects.count()}"))
        WeeklySummary.objects.create(schedule=of_status, finished=3, failed=1)
        for one in (schedule, of_status):
            make_run(one, due=ago(3_000 + 10 * one.runs.count()), worker_name="w")
            make_run(
                one,
                status="failed",
                due=ago(6_000 + 10 * one.runs.count()),
                exception_class="builtins.KeyError",
                traceback=f'  File "/srv/app/jobs.py", line {place + 1}, in main\n',
            )
            one.changes.create(action="changed", by="ada", changes={"interval": [60, 90]})
        make_run(of_status, status="running", due=ago(40), worker_name="w")
        feed = Feed.objects.create(url=f"https://example.com/{of_status.pk}", schedule=of_status)
        Entry.objects.create(feed=feed, guid="1", digest="1")
        keep_document(feed, b"<html>", "text/html", "no feed")
        Task.objects.create(
            name="call", function=CALL, status="finished", started=ago(9), ended=ago(8)
        )
        worker = Worker(["default"], name=f"w{of_status.pk}", connection=redis)
        worker.register_birth()
        redis.hset(worker.key, mapping={CONCURRENCY_FIELD: 20, COROUTINES_FIELDS[0]: 3})
        waiting = RunId(of_status.job_id, ago(60)).job_id
        redis.rpush(queue_key("default"), waiting)


def asked(client: Client, page: Page) -> tuple[int, int]:
    """Return how many queries a page makes, and how often it waits for Redis."""
    page.ask(client)  # What a process reads only once doesn't count.
    shared.forget()
    with CaptureQueriesContext(connection) as queries, redis_round_trips() as sent:
        assert page.ask(client).status_code == 200, page.name
    return len(queries), len(sent)


def asked_by_all(client: Client) -> dict[str, tuple[int, int]]:
    return {page.name: asked(client, page) for page in every_page()}


def test_no_page_asks_more_of_the_database_or_redis_the_more_there_is(
    admin_client: Client, redis_connection: Redis
):
    fill(redis_connection, len(STATUSES))
    few = asked_by_all(admin_client)
    fill(redis_connection, 3 * len(STATUSES))
    many = asked_by_all(admin_client)
    assert {name: (few[name], many[name]) for name in few if is_more(many[name], few[name])} == {}
    most = (MOST_QUERIES, MOST_ROUND_TRIPS)
    assert {name: number for name, number in many.items() if is_more(number, most)} == {}


def test_no_page_is_left_out(redis_connection: Redis):
    fill(redis_connection, len(STATUSES))
    shown = {resolve(page.url.partition("?")[0]).url_name for page in every_page()}
    ours = {name for name in names_of_pages() if not NOT_SHOWN.search(name)}
    assert ours - shown == set()


def names_of_pages() -> Iterator[str]:
    """Yield the names of our addresses in the admin."""
    [urls] = get_resolver().namespace_dict["admin"][1:]
    for pattern in urls.url_patterns:
        yield from names_in(pattern)


def names_in(pattern: Any) -> Iterator[str]:
    for one in getattr(pattern, "url_patterns", []):
        yield from names_in(one)
    name = getattr(pattern, "name", "") or ""
    if name.startswith(("tasks_", "feeds_")):
        yield name


def test_open_tabs_are_told_together_how_everything_is(
    admin_client: Client, redis_connection: Redis, django_assert_max_num_queries: Any
):
    make_run(make_row(status="failed"), status="failed")
    tabs = [(HEALTH, {}), (OVERVIEW, {"part": "now"}), (HEALTH, {})]
    admin_client.get(HEALTH, headers=LIVE)
    for url, query in tabs:
        with redis_round_trips() as sent, django_assert_max_num_queries(8):
            page = admin_client.get(url, query, headers=LIVE)
        assert "No scheduler runs" in page.content.decode()
        assert len(sent) <= 1


def test_who_opens_a_page_is_told_how_everything_is_now(admin_client: Client):
    make_row()
    assert "Everything is paused" not in admin_client.get(HEALTH, headers=LIVE).content.decode()
    Hold.objects.create(queue="", by="ada")
    assert "Everything is paused" in admin_client.get(OVERVIEW).content.decode()


def test_who_is_limited_is_not_told_what_others_are_told(admin_client: Client, client: Client):
    make_run(make_row(name="Payroll", status="failed"), status="failed")
    tag = Tag.objects.create(name="others")
    user = staff("view_scheduledtask")
    TagUser.objects.create(tag=tag, user=user)
    client.force_login(user)
    page = f"{OVERVIEW}?part=now"
    assert "Payroll" in admin_client.get(page, headers=LIVE).content.decode()
    assert "Payroll" not in client.get(page, headers=LIVE).content.decode()


def test_what_refreshes_itself_is_made_without_the_rest_of_the_page(admin_client: Client):
    run = make_run(make_row(), status="running")
    for url in (SCHEDULES, schedule_page(run.parent.pk), page_of(run)):
        whole, part = (admin_client.get(url, headers=headers) for headers in ({}, LIVE))
        for name in re.findall(r'id="([^"]+)"[^>]* data-live="[1-9]', whole.content.decode()):
            if name not in ("sl-health", "run-log"):  # These have addresses of their own.
                assert f'id="{name}"' in part.content.decode()
        assert "site-name" not in part.content.decode()


def is_more(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return any(mine > theirs for mine, theirs in zip(one, other, strict=True))
