"""A schedule's own page: what it shows, and to whom it offers what."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from redis import Redis

from tasks.admin_pages.links import schedule_page
from tasks.decorators import scheduled_task
from tasks.models import Calendar, ScheduledTask, Tag, WeeklySummary
from tasks.services import CalendarService, SchedulerService
from tests.tasks.functions import ECHO, LOG_IN, TYPED, work_off
from tests.tasks.pages import SCRIPT, page_of, staff, text_of
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)


@scheduled_task(name="tests.two_at_a_time_here", max_concurrent=2)
def two_at_a_time() -> None:
    """Do nothing, twice at a time."""


@scheduled_task(
    name="tests.one_a_host_here", max_concurrent=1, limit_key=lambda host, password: host
)
def one_a_host(host: str, password: str) -> None:
    """Do nothing, one at a time for each host."""


def show(client: Client, schedule: ScheduledTask, **query: Any) -> str:
    """Return the text of the page."""
    return text_of(client.get(schedule_page(schedule.pk), query))


def shown_with(client: Client, url: str, query: Any = None) -> Any:
    """Return what a page is made from."""
    response: Any = client.get(url, query)
    assert response.status_code == 200
    return response.context_data


@pytest.fixture
def hourly() -> ScheduledTask:
    """Return a schedule with a run of each kind."""
    first = ago(10 * 3600)
    schedule = make_row(name="hourly", first=first, period_start=first - timedelta(hours=1))
    for number, status in enumerate(("finished", "failed", "missed", "skipped", "canceled")):
        due = first + timedelta(hours=number)
        started = None if status in ("missed", "skipped") else due + timedelta(seconds=40)
        ended = due + timedelta(seconds=70)
        make_run(schedule, due=due, status=status, started=started, ended=ended)
    return schedule


def test_the_page_says_when_and_how_it_went(admin_client: Client, hourly: ScheduledTask):
    hourly.tags.add(Tag.objects.create(name="orders"))
    WeeklySummary.objects.create(
        schedule=hourly,
        finished=337,
        failed=1,
        missed=2,
        success=337 / 340,
        p50=timedelta(seconds=238),
        p95=timedelta(seconds=320),
    )
    text = show(admin_client, hourly)
    for words in ("every hour", "99.1 %", "337 of 340 runs", "3 min 58 s", "5 min 20 s", "orders"):
        assert words in text
    assert "All 5 runs" in text


def test_a_success_rate_is_never_rounded_up_to_all(admin_client: Client, hourly: ScheduledTask):
    WeeklySummary.objects.create(schedule=hourly, finished=9_999, failed=1, success=0.9999)
    assert "99.9 %" in show(admin_client, hourly)


def test_a_schedule_that_never_ran_has_a_page_too(admin_client: Client):
    text = show(admin_client, make_row(first=ago(-3600), interval=None))
    assert "No run yet." in text
    assert "Nothing has been changed since the history began." in text


def test_the_chart_has_a_bar_for_each_run_and_its_values_as_a_table(
    admin_client: Client, hourly: ScheduledTask
):
    chart = shown_with(admin_client, schedule_page(hourly.pk))["chart"]
    assert [bar.status for bar in chart.bars] == [
        "finished",
        "failed",
        "missed",
        "skipped",
        "canceled",
    ]
    assert chart.bars[0].label.endswith("finished, took 30.0 s, 40.0 s late")
    assert chart.bars[0].url == page_of(hourly.runs.get(status="finished"))
    assert chart.summary.startswith("Duration and lateness: 5 runs, 1 finished")
    assert "Values as a table" in show(admin_client, hourly)


def test_many_runs_share_bars_that_lead_closer(admin_client: Client, hourly: ScheduledTask):
    base = ago(100_000)
    for number in range(450):
        make_run(hourly, due=base - timedelta(seconds=number))
    chart = shown_with(admin_client, schedule_page(hourly.pk), {"runs": "1000"})["chart"]
    assert (chart.number, len(chart.bars)) == (455, 152)
    assert sum(len(bar.runs) for bar in chart.bars) == 455
    closer = schedule_page(hourly.pk) + chart.bars[0].url.partition("#")[0]
    shown = shown_with(admin_client, closer)["chart"]
    assert len(shown.bars) <= 200
    assert chart.bars[0].runs[0].pk in {bar.runs[0].pk for bar in shown.bars}


def test_earlier_and_later_runs_are_a_step_away(admin_client: Client, hourly: ScheduledTask):
    for number in range(250):
        make_run(hourly, due=ago(100_000 + number))
    page = schedule_page(hourly.pk)
    newest = shown_with(admin_client, page)["chart"]
    assert newest.newer == ""
    earlier = shown_with(admin_client, page + newest.older.partition("#")[0])["chart"]
    assert (earlier.number, earlier.older) == (55, "")
    later = shown_with(admin_client, page + earlier.newer.partition("#")[0])["chart"]
    assert later.bars[-1].runs[0].pk > earlier.bars[-1].runs[0].pk


def test_the_ledger_of_a_day_folds_equal_neighbours(admin_client: Client):
    first = ago(30 * 3600)
    schedule = make_row(first=first, period_start=first - timedelta(hours=1))
    for number in range(5):
        make_run(schedule, due=first + timedelta(hours=number), ended=ago(0))
    day = f"{first:%Y-%m-%d}"
    folded = shown_with(admin_client, schedule_page(schedule.pk), {"day": day})["ledger"]
    unfolded = shown_with(admin_client, schedule_page(schedule.pk), {"day": day, "all": 1})
    assert any(line.is_folded for line in folded.lines)
    assert len(unfolded["ledger"].lines) > len(folded.lines)
    assert not any(line.is_folded for line in unfolded["ledger"].lines)


def test_a_long_day_is_shown_a_part_at_a_time_with_nothing_left_out(admin_client: Client):
    day = ago(48 * 3600).replace(hour=0, minute=0, second=0, microsecond=0)
    schedule = make_row(first=day, interval=300, period_start=day - timedelta(hours=1))
    number = 24 * 60 // 5
    for place in range(number):
        make_run(schedule, due=day + place * timedelta(minutes=5), ended=ago(0))
    page = schedule_page(schedule.pk)
    latest = shown_with(admin_client, page, {"day": f"{day:%Y-%m-%d}", "all": 1})["ledger"]
    assert (len(latest.lines), latest.latest) == (200, "")
    earlier = shown_with(admin_client, page + latest.earlier.partition("#")[0])["ledger"]
    assert (earlier.earlier, earlier.totals) == ("", latest.totals)
    shown = [line.begin for line in (*latest.lines, *earlier.lines)]
    assert shown == [day + place * timedelta(minutes=5) for place in reversed(range(number))]
    again = shown_with(admin_client, page + earlier.latest.partition("#")[0])["ledger"]
    assert again.lines == latest.lines


def test_what_failed_has_its_reason_and_a_way_to_run_it(
    admin_client: Client, hourly: ScheduledTask
):
    hourly.runs.filter(status="failed").update(reason="Failed for: boom")
    run = hourly.runs.get(status="failed")
    ledger = shown_with(admin_client, schedule_page(hourly.pk), {"day": f"{run.due:%Y-%m-%d}"})[
        "ledger"
    ]
    [failed] = [line for line in ledger.lines if "is-failed" in line.badge]
    assert failed.why.startswith("Failed for: boom")
    assert "failed=on" in failed.backfill
    form = shown_with(admin_client, failed.backfill)["form"]
    assert form.initial["failed"] is True


@pytest.mark.parametrize(
    "query",
    [
        {"day": "2026-02-30"},
        {"day": "0001-01-01"},
        {"day": "9999-12-31"},
        {"day": "x", "hour": "99"},
        {"runs": "-1", "until": "9" * 40},
        {"until": "²"},
    ],
    ids=str,
)
def test_an_address_that_makes_no_sense_shows_the_page(
    admin_client: Client, hourly: ScheduledTask, query: dict[str, str]
):
    assert admin_client.get(schedule_page(hourly.pk), query).status_code == 200


def test_each_hour_of_a_day_with_very_many_due_times_is_one_choice(admin_client: Client):
    day = ago(48 * 3600).replace(hour=0, minute=0, second=0, microsecond=0)
    begin = day + timedelta(hours=9)
    schedule = make_row(first=begin, interval=5, period_start=begin - timedelta(seconds=1))
    page, query = schedule_page(schedule.pk), {"day": f"{day:%Y-%m-%d}"}
    ledger = shown_with(admin_client, page, query)["ledger"]
    assert (ledger.hour, ledger.totals[0]) == (9, "720 due times")
    html = admin_client.get(page, query).content.decode()
    assert '<option value="9" selected>09:00</option><option value="10">10:00</option>' in html
    assert shown_with(admin_client, page, query | {"hour": "10"})["ledger"].hour == 10


def test_a_day_without_due_times_is_described_as_it_was_or_will_be(admin_client: Client):
    now = ago(0)
    schedule = make_row(first=now + timedelta(days=30))
    created = now.replace(hour=12, minute=53) - timedelta(days=3)
    ScheduledTask.objects.filter(pk=schedule.pk).update(created=created)

    def empty(days: int) -> str:
        day = now + timedelta(days=days)
        query = {"day": f"{day:%Y-%m-%d}"}
        text: str = shown_with(admin_client, schedule_page(schedule.pk), query)["ledger"].empty
        return text

    assert (
        empty(-4) == f"It was created {created.day} {created:%b %Y} 12:53: nothing was due before."
    )
    assert empty(-2) == "Nothing was due."
    assert empty(0) == "Nothing was due, and nothing will be."
    assert empty(2) == "Nothing will be due."


def test_an_address_before_all_that_was_due_shows_the_latest(
    admin_client: Client, hourly: ScheduledTask
):
    query = {"day": f"{hourly.first:%Y-%m-%d}", "before": "1999-01-01T00:00:00+00:00"}
    ledger = shown_with(admin_client, schedule_page(hourly.pk), query)["ledger"]
    assert ledger.lines
    assert not ledger.latest


def test_a_pause_and_its_note_are_at_the_top(admin_client: Client, hourly: ScheduledTask):
    SchedulerService.pause(hourly, "until Monday")
    text = show(admin_client, hourly)
    assert "until Monday" in text
    assert "Paused: nothing is due until somebody resumes." in text


@pytest.mark.parametrize(
    ("function", "args", "said"),
    [
        ("tests.two_at_a_time_here", [], "at most 2 runs of tests.two_at_a_time_here at a time"),
        (
            "tests.one_a_host_here",
            ["h.example", "hunter2-hunter2"],
            "at most 1 run of tests.one_a_host_here at a time for h.example",
        ),
        (
            "tests.one_a_host_here",
            ["by hunter2-hunter2", "hunter2-hunter2"],
            "at most 1 run of tests.one_a_host_here at a time for by •••",
        ),
        ("tests.one_a_host_here", [], "The limit_key of “tests.one_a_host_here” fails for these"),
    ],
)
def test_the_page_says_how_many_runs_may_go_on_at_a_time(
    admin_client: Client, function: str, args: list[str], said: str
):
    text = show(admin_client, make_row(function=function, args=args))
    assert f"Limit {said}" in text


def test_a_schedule_of_which_any_number_may_run_says_nothing_of_a_limit(
    admin_client: Client, hourly: ScheduledTask
):
    assert "at most" not in show(admin_client, hourly)


def test_excluded_dates_are_named(admin_client: Client):
    calendar = CalendarService.define("Holidays", ["2026-12-24"])
    schedule = SchedulerService.cron("0 9 * * *", ECHO, name="x", calendar=calendar)
    assert "Holidays" in show(admin_client, schedule)


def test_what_people_wrote_is_escaped_and_secrets_are_sealed(admin_client: Client):
    schedule = SchedulerService.schedule(
        ago(0), LOG_IN, ["1234-5678"], interval=60, name=SCRIPT, description=SCRIPT
    )
    SchedulerService.update(schedule, note=SCRIPT)
    html = admin_client.get(schedule_page(schedule.pk)).content.decode()
    assert SCRIPT not in html
    assert "1234-5678" not in html


def test_somebody_who_may_only_look_is_offered_nothing(viewer: Client, hourly: ScheduledTask):
    html = viewer.get(schedule_page(hourly.pk)).content.decode()
    for url in ("act", "run_with", "backfill", "change"):
        args = ["run_now"] if url == "act" else []
        assert page_of(hourly, url, *args) not in html
    assert viewer.get(page_of(hourly, "run_with")).status_code == 403


def test_a_stranger_sees_nothing(client: Client, hourly: ScheduledTask):
    page = schedule_page(hourly.pk)
    assert client.get(page).status_code == 302
    client.force_login(staff())
    assert client.get(page).status_code == 403


def test_a_missing_schedule_is_not_found(admin_client: Client, hourly: ScheduledTask):
    assert admin_client.get(schedule_page(hourly.pk + 1)).status_code == 404


def test_the_page_costs_a_fixed_number_of_queries(
    admin_client: Client, hourly: ScheduledTask, django_assert_max_num_queries: Any
):
    for number in range(60):
        make_run(hourly, due=ago(200_000 + number))
        SchedulerService.update(hourly, retries=number % 5)
    with django_assert_max_num_queries(25):
        admin_client.get(schedule_page(hourly.pk))


def test_it_is_run_once_with_other_arguments(admin_client: Client, redis_connection: Redis):
    schedule = make_row(function="tests.only_scheduled", args=[1], queue="low")
    page = page_of(schedule, "run_with")
    assert 'value="1"' in admin_client.get(page).content.decode()
    refused = admin_client.post(page, {"arg-number": "two", "arg-text": ""})
    assert "whole number" in text_of(refused)
    assert not schedule.requests.exists()
    done = admin_client.post(page, {"arg-number": "2", "arg-text": "", "function": ECHO})
    assert done.headers["Location"] == schedule_page(schedule.pk)
    assert schedule.requests.get().arguments == {"args": [2], "kwargs": {}}
    assert work_off(redis_connection) == 1
    schedule.refresh_from_db()
    assert schedule.args == [1]


def test_its_other_arguments_are_typed_as_where_it_is_added(admin_client: Client):
    calendar = Calendar.objects.create(name="Holidays")
    schedule = make_row(function=TYPED, args=["us"], kwargs={"calendar": calendar.pk})
    shown = admin_client.get(page_of(schedule, "run_with")).content.decode()
    assert 'data-choices="arg-calendar"' in shown
    assert f'data-choices-url="{reverse("admin:tasks_scheduledtask_choices")}"' in shown
    assert f'<input type="hidden" name="function" value="{TYPED}"' in shown
    assert "tasks/call.js" in shown


def test_who_may_run_but_not_change_gives_no_other_arguments(client: Client):
    schedule = make_row(args=[1])
    client.force_login(staff("view_scheduledtask", "run_scheduledtask"))
    assert client.get(page_of(schedule, "run_with")).status_code == 403
    assert client.get(page_of(schedule, "backfill")).status_code == 200


def test_who_may_not_view_runs_sees_none_of_them_on_the_page_of_their_schedule(
    client: Client, hourly: ScheduledTask
):
    make_run(hourly, status="finished", result="CONFIDENTIAL")
    client.force_login(staff("view_scheduledtask"))
    assert "CONFIDENTIAL" not in show(client, hourly)


@pytest.mark.parametrize("name", ["tasks_scheduledtask_page", "tasks_scheduledtask_change"])
def test_a_schedule_whose_row_makes_no_sense_has_a_page_and_a_form_that_say_so(
    admin_client: Client, name: str
):
    schedule = make_row()
    bad = {"type": "cron", "cron": "61 * * * *", "first": None, "interval": None}
    ScheduledTask.objects.filter(pk=schedule.pk).update(**bad)
    page = admin_client.get(reverse(f"admin:{name}", args=[schedule.pk]))
    assert page.status_code == 200
    assert "“61 * * * *” has a bad minute" in page.content.decode()
