"""Odd values in addresses and forms: each page answers that something is wrong, and never fails.

Each part of an address, and each field of a form, gets one of the odd values; `make prove` gives
all of them to each, on more pages, by PROOF_ODD_REQUESTS.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from tests.project.pages_of_site import Records, addresses, make_records
from tests.tasks import functions
from tests.tasks.pages import SCHEDULES

pytestmark = pytest.mark.django_db

ODD = (
    "99999999999999999999",
    "[" * 3_000,
    "\0",
    "9999-12-31T23:59:59Z",
    "9" * 5_000,
    "-1",
    "NaN",
    "x" * 60_000,
    "٣",
    "2026-13-45",
)
IS_PROOF = bool(os.environ.get("PROOF_ODD_REQUESTS"))
# A schedule's “when”, from which something is due.
WHEN = {"function": functions.TYPED, "face": "every", "interval": "1", "interval_unit": "h"}
WHEN |= {"first_0": "2026-11-01", "first_1": "00:00", "timezone": "Europe/Berlin", "retries": "1"}
WHEN |= {"overlap": "skip", "catch_up": "latest", "on_disconnect": "stop", "keep_runs": "10"}
MORE_OF_WHEN = """
    pk cron cron_on cron_days cron_at repeat start_0 start_1 end_0 end_1 jitter timeout
    timeout_unit start_deadline retry_delay isolated keep_days calendar exclude _write
""".split()
OF_SCHEDULE = """
    name queue tags args kwargs first interval cron timezone start end repeat exclude calendar
    jitter retries runs start_deadline timeout keep_runs isolated face cron_on cron_at
""".split()
LOOKUPS = "id id__gte id__in id__range name__range created__year p o q".split()
OF_RUNS = """
    schedule status function failure worker late took since until before after
""".split()
PAGES: dict[str, tuple[Mapping[str, str], Sequence[str]]] = {
    f"{SCHEDULES}preview/": (WHEN, (*WHEN, *MORE_OF_WHEN)),
    f"{SCHEDULES}add/": (WHEN, (*OF_SCHEDULE, "arg-days", "clone_of", "_popup", "_to_field")),
    f"{SCHEDULES}arguments/": (WHEN, ("pk", "clone_of", "function")),
    f"{SCHEDULES}choices/": (WHEN | {"name": "arg-calendar"}, ("pk", "q", "name", "function")),
    f"{SCHEDULES}zone/": ({}, ("next", "zone")),
    f"{SCHEDULES}changes/": ({}, ("by", "day", "kind", "before")),
    SCHEDULES: ({}, (*LOOKUPS, "view", "tag", "list", "first__year", "args__contains")),
    "/admin/tasks/scheduledtaskinstance/": (
        {},
        (*LOOKUPS, *OF_RUNS),
    ),
    "/admin/tasks/scheduledtaskinstance/schedules/": ({}, ("q",)),
    "/admin/tasks/scheduledtaskinstance/failures/": ({}, ("days",)),
    "/admin/tasks/task/": ({}, LOOKUPS),
    "/admin/tasks/task/add/": (WHEN, ("args", "kwargs", "reserved_for", "arg-days")),
    "/admin/tasks/task/arguments/": (WHEN, ("pk", "function")),
    "/admin/tasks/calendar/": ({}, LOOKUPS),
    "/admin/tasks/calendar/add/": ({}, ("name", "dates")),
    "/admin/tasks/tag/": ({}, ("id__range", "q")),
    "/admin/feeds/feed/": ({}, (*LOOKUPS, "tags")),
    "/admin/feeds/feed/add/": ({}, ("url", "tags")),
    "/admin/feeds/entry/": ({}, (*LOOKUPS, "published__year", "published__day", "feed")),
    "/admin/feeds/entry/?published__year=2026": ({}, ("published__month", "published__day")),
    "/admin/tasks/overview/": ({}, ("part", "hours", "lanes", "heat")),
    "/admin/tasks/overview/pause/": ({}, ("queue",)),
    "/admin/tasks/overview/what-if/": (
        {"takes": "1", "takes_unit": "m", "queue": "default", "every": "day"},
        ("takes", "takes_unit", "queue", "every"),
    ),
}
OF_RECORDS = {
    "page": ("runs", "until", "day", "hour", "all"),
    "backfill": ("begin", "end", "failed"),
    "changes": ("page",),
    "delete": ("confirmed",),
}
FORMS = [
    "tasks_scheduledtask_change",
    "tasks_scheduledtask_put_back",
    "tasks_scheduledtask_backfill",
    "tasks_calendar_change",
    "tasks_tag_change",
    "feeds_feed_change",
    "tasks_hold",
    "tasks_zone",
]
MORE_FORMS = [
    "tasks_scheduledtask_add",
    "tasks_scheduledtask_run_with",
    "tasks_calendar_add",
    "tasks_task_add",
    "feeds_feed_add",
]


@pytest.fixture
def records(client: Client) -> Records:
    client.force_login(User.objects.create_superuser("boss"))
    client.raise_request_exception = False
    return make_records("mine")


def odd_values(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each name with its odd value, or all of them."""
    for place, name in enumerate(names):
        for number in range(len(ODD) if IS_PROOF else 1):
            yield name, ODD[(place + number) % len(ODD)]


class Fields(HTMLParser):
    """Reads what the forms of a page would send."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._select = self._text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        given = dict(attributes)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            if "selected" in given or self._select not in self.values:
                self.values[self._select] = value
        elif tag == "textarea":
            self._text, self.values[name] = name, ""
        elif tag == "input" and given.get("type") in ("checkbox", "radio"):
            if "checked" in given:
                self.values[name] = value or "on"
        elif tag == "input" and name:
            self.values[name] = value

    def handle_endtag(self, tag: str) -> None:
        self._select = "" if tag == "select" else self._select
        self._text = "" if tag == "textarea" else self._text

    def handle_data(self, data: str) -> None:
        if self._text:
            self.values[self._text] += data


@pytest.mark.parametrize("page", PAGES)
def test_an_odd_value_in_an_address_is_no_failure(client: Client, records: Records, page: str):
    given, names = PAGES[page]
    path, _mark, query = page.partition("?")
    for name, value in odd_values(names):
        sent = {**QueryDict(query).dict(), **given, name: value}
        assert client.get(path, sent).status_code < 500, (name, value[:20])


@pytest.mark.parametrize("page", OF_RECORDS)
def test_an_odd_value_in_the_address_of_a_schedule_is_no_failure(
    client: Client, records: Records, page: str
):
    url = reverse(f"admin:tasks_scheduledtask_{page}", args=[records.schedule.pk])
    for name, value in odd_values(OF_RECORDS[page]):
        assert client.get(url, {name: value}).status_code < 500, (name, value[:20])


@pytest.mark.parametrize("page", [*FORMS, *MORE_FORMS] if IS_PROOF else FORMS)
def test_an_odd_value_in_a_form_is_no_failure(client: Client, records: Records, page: str):
    known = {"calendar": records.calendar, "tag": records.tag, "feed": records.feed}
    record = known.get(page.split("_")[1], records.schedule)
    keys = [] if page.endswith(("_add", "_zone", "_hold")) else [record.pk]
    if page.endswith("put_back"):
        keys.append(records.change.pk)
    url = reverse(f"admin:{page}", args=keys)
    query = (
        f"?function={functions.TYPED}" if page.endswith(("task_add", "scheduledtask_add")) else ""
    )
    fields = Fields(client.get(url + query).content.decode()).values
    for name, value in odd_values([name for name in fields if name]):
        answer = client.post(url, {**fields, name: value})
        assert answer.status_code < 500, (name, value[:20])


def test_an_odd_value_in_what_an_action_is_sent_is_no_failure(client: Client, records: Records):
    sent = {"confirmed": "yes", "amount": "15", "unit": "minutes", "direction": "later"}
    sent |= {
        "queue": "low",
        "note": "",
        "filters": "",
        "shown": "",
        "ids": str(records.schedule.pk),
    }
    sent |= {"_selected_action": str(records.run.pk), "action": "run_again", "index": "0"}
    lists = ["/admin/tasks/scheduledtaskinstance/", SCHEDULES]
    acts = [url for url in addresses(records) if "/act/" in url]
    for url in [*lists, *acts]:
        for name, value in odd_values(list(sent)):
            assert client.post(url, {**sent, name: value}).status_code < 500, (
                url,
                name,
                value[:20],
            )


def test_every_page_can_be_asked_for_its_head(client: Client, records: Records):
    for url in [url for url in addresses(records) if "/act/" not in url]:
        shown = client.get(url).status_code
        if shown == 200:
            assert client.head(url).status_code == 200, url
