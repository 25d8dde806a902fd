"""The page that shows the load of the coming days, and the emptiest times for a new job."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from redis import Redis
from redis.exceptions import ConnectionError

from tasks.admin_pages.what_if import PATIENCE_MS, PLAY_AFTER_MS, QUICK
from tasks.history import Action, record
from tasks.models import ScheduleChange, ScheduledTask, WeeklySummary
from tasks.worker import Worker
from tests.tasks import functions
from tests.tasks.pages import text_of
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _worker(redis_connection: Redis) -> None:
    Worker(["default"], connection=redis_connection).register_birth()


def hourly(minutes: float, **values: Any) -> None:
    """Store an hourly schedule whose runs take so many minutes."""
    schedule = make_row(first=ago(60), interval=3600, **values)
    WeeklySummary.objects.create(schedule=schedule, p50=timedelta(minutes=minutes))


def get(client: Client, **query: str) -> Any:
    return client.get(reverse("admin:tasks_what_if"), query)


def test_the_load_of_each_queue_is_shown(admin_client: Client):
    hourly(30)
    hourly(59, queue="low", name="nightly")
    rows = get(admin_client).context["queues"]
    shown = [(row.name, row.more, row.verdict, row.state) for row in rows]
    assert shown == [
        ("default", "168 runs, 1 worker", "at most 100 % busy", ""),
        ("low", "168 runs, 0 workers", "no worker", "failed"),
    ]


def test_what_would_overlap_and_what_would_wait_is_named(admin_client: Client):
    hourly(90, name="too long")
    hourly(10, name="waits for it")
    page = get(admin_client)
    assert "too long" in [one.planned.name for one in page.context["overlapping"]]
    assert "waits for it" in [one.planned.name for one, _due in page.context["waiting"]]
    assert "too long" in page.content.decode()


@pytest.mark.parametrize("every", ["hour", "day", "week"])
def test_a_suggested_time_leads_to_the_form_that_adds_a_schedule_then(
    admin_client: Client, every: str
):
    hourly(10)
    [first, *_] = get(admin_client, takes="15m", queue="default", every=every).context[
        "suggestions"
    ]
    values = parse_qs(urlsplit(first.add_url).query)
    assert values["queue"] == ["default"]
    stars = {"hour": 4, "day": 3, "week": 2}
    assert values["cron"][0].split().count("*") == stars[every]


@pytest.mark.parametrize(
    ("takes", "error"),
    [
        ("soon", "“soon” is not a valid interval"),
        ("", "This field is required"),
        ("99d", "Longer than the 7 days"),
    ],
)
def test_a_length_of_time_that_is_none_is_refused_at_its_field(
    admin_client: Client, takes: str, error: str
):
    response = get(admin_client, takes=takes, queue="default", every="day")
    assert "suggestions" not in response.context
    assert error in response.content.decode()


# Another time for a schedule


def crowded(**values: Any) -> ScheduledTask:
    """Store a daily schedule that is due while the only worker has another one's run."""
    busy = make_row(name="long one", cron="0 9 * * *")
    WeeklySummary.objects.create(schedule=busy, p50=timedelta(minutes=50))
    schedule = make_row(name="late one", cron="10 9 * * *", **values)
    WeeklySummary.objects.create(schedule=schedule, p50=timedelta(minutes=5))
    return schedule


@pytest.mark.parametrize("by", ["pk", "name"])
def test_a_schedule_gets_emptier_times_by_its_name_or_a_link(admin_client: Client, by: str):
    schedule = crowded()
    page = get(admin_client, schedule=str(getattr(schedule, by)))
    assert page.context["busy_now"] == 100
    first = page.context["better"][0]
    assert (first.words, first.percent) == ("At 08:55, every day (UTC)", 0)
    assert first.by == {"amount": 15, "unit": "minutes", "direction": "earlier"}
    assert 'value="late one"' in page.content.decode()


def test_a_schedule_is_moved_to_a_better_time_with_a_line_in_the_history(admin_client: Client):
    schedule = crowded()
    page = get(admin_client, schedule=str(schedule.pk))
    move = reverse("admin:tasks_scheduledtask_act", args=[schedule.pk, "move"])
    assert f'action="{move}"' in page.content.decode()
    sent = page.context["better"][0].by | {"preview": "yes"}
    asked: Any = admin_client.post(move, sent)
    assert "At 08:55, every day (UTC)" in text_of(asked)
    schedule.refresh_from_db()
    assert schedule.cron == "10 9 * * *"
    shown = asked.context_data["shown"]
    admin_client.post(move, sent | {"confirmed": "yes", "shown": shown, "note": "less crowded"})
    schedule.refresh_from_db()
    assert schedule.cron == "55 8 * * *"
    [line] = ScheduleChange.objects.filter(note="less crowded")
    assert (line.schedule_id, line.by) == (schedule.pk, "admin")


def test_a_schedule_that_nobody_knows_is_refused_at_the_field(admin_client: Client):
    page = get(admin_client, schedule="nobody")
    assert "No active schedule is called “nobody”." in page.content.decode()


def test_schedules_that_share_a_name_are_told_apart_and_chosen_by_key(admin_client: Client):
    crowded()
    other = make_row(name="late one", cron="20 9 * * *", function=functions.CALL)
    page = get(admin_client, schedule="late one")
    assert "2 active schedules are called “late one”: choose one." in text_of(page)
    assert "better" not in page.context
    assert f'href="?schedule={other.pk}"><code>{functions.CALL}</code>' in page.content.decode()
    assert get(admin_client, schedule=str(other.pk)).context["chosen"].pk == other.pk


def test_a_link_leads_to_its_schedule_though_another_is_called_like_its_key(admin_client: Client):
    schedule = crowded()
    make_row(name=str(schedule.pk))
    assert get(admin_client, schedule=str(schedule.pk)).context["chosen"].name == "late one"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"queue": "nobody's"}, "No worker serves the queue “nobody's”"),
        ({"interval": 300}, "“one” is due too often to be moved to other times."),
        ({"cron": "* * * * *"}, "“one” is due too often to be moved to other times."),
        ({"first": ago(60), "interval": None}, "“one” isn't due before"),
        ({"cron": "0 9 * * *"}, "No time is clearly emptier for “one” than its own"),
    ],
)
def test_why_no_time_is_better_is_said_as_it_is(
    admin_client: Client, values: dict[str, Any], reason: str
):
    page = get(admin_client, schedule=str(make_row(name="one", **values).pk))
    assert not page.context["better"]
    assert reason in text_of(page)
    assert text_of(page).count("No time is clearly emptier") == ("clearly" in reason)


def test_what_would_overlap_or_fills_the_hours_leads_to_better_times(admin_client: Client):
    hourly(58, name="full")
    hourly(5, name="waits")
    page = get(admin_client)
    assert [one.outlook.planned.name for one in page.context["fillers"]] == ["full", "waits"]
    pk = page.context["fillers"][0].outlook.planned.pk
    assert page.content.decode().count(f'href="?schedule={pk}"') >= 1


def test_a_move_is_tried_before_it_is_made(admin_client: Client):
    schedule = crowded()
    page = get(admin_client, schedule=str(schedule.pk), by="-15")
    text = text_of(page)
    assert "As if “late one” were moved: At 08:55, every day (UTC)" in text
    waits = next(one for one in page.context["effects"] if "wait" in one.label)
    assert (waits.before, waits.after, waits.is_worse) == ("40 min", "none", False)
    schedule.refresh_from_db()
    assert schedule.cron == "10 9 * * *"


def test_a_new_job_is_tried_before_it_is_added(admin_client: Client):
    crowded()
    asked = {"takes": "15m", "queue": "default", "every": "day"}
    first = get(admin_client, **asked).context["suggestions"][0]
    tried = get(admin_client, **dict(parse_qsl(first.try_url.removeprefix("?"))))
    assert tried.context["trial"].planned[-1].takes == timedelta(minutes=15)
    assert tried.context["add_url"] == first.add_url
    worse = get(admin_client, **asked, cron="30 8 * * *")
    waits = next(one for one in worse.context["effects"] if "wait" in one.label)
    assert waits.is_worse is False
    assert get(admin_client, **asked, cron="40 8 * * *").context["effects"][1].is_worse is False
    assert get(admin_client, **asked, cron="50 8 * * *").context["effects"][1].is_worse


def test_a_job_that_is_only_tried_is_named_and_leads_nowhere(admin_client: Client):
    hourly(58)
    asked = {"takes": "90m", "queue": "default", "every": "hour", "cron": "0 * * * *"}
    page = get(admin_client, **asked)
    tried = page.context["trial"].changed
    assert tried in [one.outlook.planned for one in page.context["fillers"]]
    assert tried in [one.planned for one in page.context["overlapping"]]
    assert tried in [one.planned for one, _due in page.context["waiting"]]
    shown = page.content.decode()
    assert shown.count("<td>the new job</td>") == 3
    assert reverse("admin:tasks_scheduledtask_page", args=[0]) not in shown
    assert 'href="?schedule=0"' not in shown


@pytest.mark.parametrize("query", [{"by": "x"}, {"by": "0"}, {"by": "-99999999999"}])
def test_a_move_that_makes_no_sense_is_not_tried(admin_client: Client, query: dict[str, str]):
    page = get(admin_client, schedule=str(crowded().pk), **query)
    assert "trial" not in page.context
    assert page.context["better"]


def test_an_expression_that_makes_no_sense_is_not_tried(admin_client: Client):
    page = get(admin_client, takes="15m", queue="default", every="day", cron="99 * * * *")
    assert "trial" not in page.context


def test_who_may_only_look_can_try_and_not_move(viewer: Client):
    schedule = crowded()
    for query in ({}, {"by": "-15"}):
        page = get(viewer, schedule=str(schedule.pk), **query).content.decode()
        assert "/act/" not in page


def test_the_page_makes_the_same_few_queries_for_any_number_of_schedules(
    admin_client: Client, django_assert_max_num_queries: Any
):
    for number in range(5):
        hourly(1, name=f"schedule {number}")
    get(admin_client)
    for query in ({}, {"schedule": "schedule 1"}, {"schedule": "schedule 1", "by": "10"}):
        with django_assert_max_num_queries(15):
            get(admin_client, **query)


def test_much_is_played_only_when_the_page_is_there_and_then_shown_to_all_for_a_while(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
):
    hourly(30)
    WeeklySummary.objects.update(finished=QUICK)
    page = get(admin_client)
    assert "queues" not in page.context
    assert f'id="what-if" data-live="{PLAY_AFTER_MS}"' in page.content.decode()
    part = admin_client.get(reverse("admin:tasks_what_if"), headers={"X-Live": "1"})
    assert [row.name for row in part.context["queues"]] == ["default"]
    assert 'id="what-if" data-live="0"' in part.content.decode()
    monkeypatch.setattr("tasks.admin_pages.what_if.simulate", None)
    assert get(admin_client, play="now").context["queues"]


def test_the_part_that_is_played_may_take_longer_than_an_outage_would(admin_client: Client):
    hourly(30)
    WeeklySummary.objects.update(finished=QUICK)
    part = re.search(r'<div id="what-if"[^>]*>', get(admin_client).content.decode())
    assert part
    assert f'data-live-patience="{PATIENCE_MS}"' in part[0]


def test_a_schedule_is_found_and_moved_though_what_was_played_before_is_kept(admin_client: Client):
    hourly(30)
    WeeklySummary.objects.update(finished=QUICK)
    get(admin_client, play="now")
    made = make_row(name="just made", cron="0 9 * * *")
    assert get(admin_client, schedule="just made").context["chosen"].pk == made.pk
    made.cron = "0 10 * * *"
    made.save()
    record(made, Action.CHANGED, {})
    assert get(admin_client, schedule="just made").context["chosen"].spec.cron == "0 10 * * *"


def test_a_change_is_compared_over_the_same_span(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
):
    hourly(10)
    monkeypatch.setattr("tasks.admin_pages.what_if.PLAYED_AT_MOST", 50)
    plain = get(admin_client).context["simulation"]
    assert not plain.is_whole
    asked = {"takes": "15m", "queue": "default", "every": "hour", "cron": "* * * * *"}
    tried = get(admin_client, **asked).context["simulation"]
    assert tried.end - tried.begin == plain.end - plain.begin
    assert not tried.is_whole


def test_without_redis_the_page_says_that_the_workers_are_not_known(
    admin_client: Client, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):

    def unavailable(*args: Any) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr("tasks.admin_pages.what_if.read_snapshot", unavailable)
    assert "isn't known: refused" in get(admin_client).content.decode()
    page = get(admin_client, schedule=str(make_row().pk))
    assert "No times can be compared: which workers there are isn't known." in text_of(page)
    assert "No worker serves" not in text_of(page)


def test_whoever_may_not_view_schedules_may_not_see_their_load(client: Client, django_user_model):
    client.force_login(django_user_model.objects.create_user("staff", is_staff=True))
    assert get(client).status_code == 403
