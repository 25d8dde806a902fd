"""The whole site in Korean: no English word of ours is left on any page, whatever it shows."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from redis import Redis

from feeds.models import Entry, Feed
from tasks import history, holds, reasons
from tasks.admin_pages.schedule_actions import ACTIONS
from tasks.ledger.summaries import summarise
from tasks.models import Calendar, ScheduledTask, Tag, Task
from tasks.reasons import Code
from tasks.services import SchedulerService
from tests.tasks.admin_pages.test_tracebacks import text_of as traceback_of
from tests.tasks.functions import ECHO, LOG_IN
from tests.tasks.pages import CALLS, RUNS, SCHEDULES, act_url, page_of
from tests.tasks.reports.test_facts import put_worker
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db
# What is called so in Korean too, and what people have to type or to name.
SAME_IN_KOREAN = """
    Redis RQ RSS Atom UTC JSON URL UUID ID NTP NUL MiB ms cron Python PostgreSQL SQLite HTML ETag
    Last-Modified True False None true false text name value jitter
    MON FRI SUN SAT JAN DEC L LW PT15M rq suspend resume rqworker rqscheduler simulate low high
    default feeds admin English Valkey Cron MON-FRI SUN-SAT rq-scheduler INFO args kwargs pin number
    Seoul Berlin NoAnswer get url two Command Control Mac Expecting char column line where
""".split()
# Shown as they are stored: the values of these tests, names of zones, classes and functions.
SHOWN = re.compile(
    r"""[\w<>-]*[./_@:=\\#]+[\w./_@:=\\#()<>*-]*  # paths, addresses, functions, options
    | --\w+ | \b\d+[a-zA-Z]+\b | \bp\d\d\b | “[^”]*” | \w*Error\b
    | (?:schedule|task)-[0-9a-f-]+ | [0-9a-f]{8}[0-9a-f-]+""",
    re.X,
)
# Django 6.1 has not translated these texts of its own.
NOT_BY_DJANGO = re.compile("Select an option|Filter by")
WORD = re.compile(r"[A-Za-z][A-Za-z’'-]*[A-Za-z]")
SAID = re.compile(
    r"""\b(?:title|alt|placeholder|aria-label|data-label|summary)=(?:"([^"]*)"|'([^']*)')"""
)
# Apps that have no Korean texts, in the index and in the navigation.
OF_OTHERS = re.compile(r'<div class="app-(?:axes|django_rq) module.*?</table>', re.S)
UNSEEN = re.compile(
    r"<(script|style|svg class=.sl-sprite|pre|code|textarea|datalist)\b.*?</\1>|<!--.*?-->"
    # Django's own, which it doesn't translate.
    r"""|<label for="searchbar"[^>]*>.*?</label>"""
    r"""|<select[^>]*name=.(?:zone|timezone|function|schedule)\b.*?</select>|<time[^>]*>""",
    re.S,
)


@pytest.fixture
def korean(admin_client: Client) -> Client:
    """Return an administrator's browser that prefers Korean."""
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7"
    return admin_client


def english_in(response: HttpResponse) -> set[str]:
    """Return the English words that a page shows, or says to those who don't see it."""
    page = UNSEEN.sub(" ", OF_OTHERS.sub(" ", response.content.decode()))
    said = " ".join("".join(pair) for pair in SAID.findall(page))
    buttons = " ".join(re.findall(r'<input type="submit"[^>]*value="([^"]*)"', page))
    text = unescape(f"{re.sub('<[^>]*>', ' ', page)} {said} {buttons}")
    text = NOT_BY_DJANGO.sub(" ", text)
    return set(WORD.findall(SHOWN.sub(" ", text))) - set(SAME_IN_KOREAN)


def check(client: Client, url: str, data: dict[str, Any] | None = None) -> None:
    """Require that a page is there, and is in Korean: fetched, or sent with some data."""
    response: Any = client.get(url) if data is None else client.post(url, data, follow=True)
    assert response.status_code == 200, url
    assert not english_in(response), f"{url}: {sorted(english_in(response))}"


@pytest.fixture
def busy(redis_connection: Redis) -> Iterator[list[ScheduledTask]]:
    """Store schedules in each state, with runs that ended in each way; return them."""
    with history.made_by("관리자"):
        yield _stored(redis_connection)


def _stored(redis_connection: Redis) -> list[ScheduledTask]:
    calendar = Calendar.objects.create(name="공휴일", dates="2026-12-25", description="설명")
    plain = make_row(name="일일 보고")
    cron = make_row(name="야간", cron="30 6 * * MON-FRI", timezone="Asia/Seoul", calendar=calendar)
    monthly = make_row(
        name="월말", cron="0 9,17 L 1-3 *", jitter=600, exclude="2026-12-24", repeat=9
    )
    SchedulerService.update(monthly, overlap="wait", timeout=90, retries=2)
    paused = make_row(name="멈춤", retries=2, retry_delay=60, start_deadline=3_600, keep_days=9)
    SchedulerService.pause(paused, "점검")
    ended = make_row(name="종료된 것", interval=None)
    SchedulerService.cancel(ended)
    broken = make_row(name="고장", function="tests.gone", problem="Gone.", list_owner="소유자")
    secret = make_row(name="비밀", function=LOG_IN, args=["1234"], status="failed", list_owner="")
    secret.tags.add(Tag.objects.create(name="야간조"))
    put_worker(redis_connection, "워커1")
    put_worker(redis_connection, "워커2", "low")
    for number, code in enumerate(Code):
        values = {
            "by": "관리자", "worker": "워커", "due": ago(9), "catch_up": "latest", "seconds": 9,
            "error": "…", "text": "…", "type": "…", "size": 9, "limit": 9, "workers": 2,
            "status": 1, "signal": 9, "function": "함수",
        }  # fmt: skip
        why = reasons.reason(code, **values).fields
        status = ("failed", "missed", "skipped", "canceled")[number % 4]
        make_run(plain, status=status, due=ago(60 * number + 60), **why)
    failed = {"exception_class": "shop.NoAnswer", "reason": "Failed for: shop.NoAnswer: …"}
    for number in range(3):
        make_run(secret, status="failed", traceback=traceback_of("app", "own"), **failed)
        make_run(plain, due=ago(9 * number + 3_700), started=ago(3_600), worker_name="워커1")
    make_run(plain, status="running", started=ago(9), progress=40, progress_message="처리 중")
    make_run(cron, requested=ago(5), log="2026-01-31T06:30:00+00:00 INFO 로그")
    summarise()
    return [plain, cron, monthly, paused, ended, broken, secret]


def test_lists_and_reports_are_in_korean(korean: Client, busy: list[ScheduledTask]):
    holds.pause_queue("low", "관리자", "교체")
    for url in (
        "/admin/",
        "/admin/tasks/",
        "/admin/feeds/",
        "/admin/password_change/",
        reverse("admin:tasks_overview"),
        reverse("admin:tasks_overview") + "?hours=6",
        reverse("admin:tasks_what_if") + "?takes=10m&queue=default&every=day",
        reverse("admin:tasks_zone") + "?zone=Mars",
        reverse("admin:tasks_hold"),
        reverse("admin:tasks_hold") + "?queue=high",
        SCHEDULES,
        SCHEDULES + "?view=failing&q=없음",
        RUNS,
        RUNS + "?q=없음&status=lost",
        CALLS,
        reverse("admin:tasks_scheduledtaskinstance_failures"),
        reverse("admin:tasks_scheduledtask_external_jobs"),
        reverse("admin:tasks_scheduledtask_latest_changes"),
        reverse("admin:tasks_scheduledtask_latest_changes") + "?day=77&kind=77",
    ):
        check(korean, url)


def test_pages_of_a_schedule_are_in_korean(korean: Client, busy: list[ScheduledTask]):
    for schedule in busy:
        check(korean, page_of(schedule, "page"))
    for schedule in (busy[2], busy[-1]):
        for page in ("change", "history", "delete", "changes", "run_with", "backfill"):
            check(korean, page_of(schedule, page))
        check(korean, page_of(schedule, "backfill"), backfill())
        for change in schedule.changes.all():
            check(korean, page_of(schedule, "put_back", change.pk))


def backfill() -> dict[str, Any]:
    form = "%Y-%m-%dT%H:%M:%S"
    return {"begin": f"{ago(9_000):{form}}", "end": f"{ago(10):{form}}", "limit": 1_000}


def test_what_is_asked_and_what_is_reported_is_in_korean(korean: Client, busy: list[ScheduledTask]):
    plain, cron = busy[:2]
    ids = f"{plain.pk},{cron.pk}"
    several = "admin:tasks_scheduledtask_act_on_several"
    for name in ACTIONS:
        check(korean, act_url(plain, name), {})
        check(korean, reverse(several, args=[name]), {"ids": ids})
        if name != "delete":
            data = {"ids": ids, "confirmed": "yes", "amount": "x", "queue": "없음"}
            check(korean, reverse(several, args=[name]), data)
    check(korean, page_of(plain, "backfill"), backfill() | {"confirmed": "yes"})
    check(korean, page_of(plain, "page"))
    check(korean, page_of(busy[-1], "reveal"), {})
    runs = [run.pk for schedule in busy for run in schedule.runs.all()[:3]]
    for action in ("run_again", "stop"):
        chosen: dict[str, Any] = {"action": action, "_selected_action": runs}
        check(korean, RUNS, chosen)
        check(korean, RUNS, chosen | {"confirmed": "1"})


def test_pages_of_a_run_are_in_korean(korean: Client, busy: list[ScheduledTask]):
    for schedule in busy:
        runs = {run.status: run for run in schedule.runs.all()}
        for run in runs.values():
            check(korean, page_of(run) + "?compare")


def test_the_form_of_a_schedule_and_its_errors_are_in_korean(korean: Client):
    add = reverse("admin:tasks_scheduledtask_add")
    check(korean, add)
    check(korean, add, {})
    check(korean, add, {"face": "once", "function": ECHO, "args": "[", "kwargs": "[]"})
    wrong = {"face": "every", "interval_0": "x", "jitter_0": "-", "exclude": "x", "timezone": "x"}
    numbers = "tests.only_scheduled"
    check(korean, add, wrong | {"function": numbers, "fields_of": numbers, "repeat": "0"})
    for cron in ("61 * * * *", "0 0 31 2 *", "@never", "* *", "0 0 * * MON#9", "0 x * * *"):
        check(korean, add, {"face": "cron", "cron": cron, "function": ECHO})
    preview = reverse("admin:tasks_scheduledtask_preview")
    for data in (
        {"face": "cron", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "overlap": "replace"},
        {"face": "every", "interval": "90", "interval_unit": "m", "keep_runs": "5", "retries": "3"},
        {"face": "once", "first_0": "2020-01-01", "first_1": "00:00", "isolated": "True"},
    ):
        check(korean, preview, data | {"function": ECHO})


def test_background_calls_feeds_calendars_and_tags_are_in_korean(
    korean: Client, busy: list[ScheduledTask]
):
    calls = [
        Task.objects.create(name="호출", function=ECHO, status=status, **values)
        for status, values in [
            ("queued", {}),
            ("reserved", {"reserved_for": datetime(2100, 1, 1, tzinfo=UTC)}),
            ("failed", {"started": ago(9), "ended": ago(5), **failed_once()}),
        ]
    ]
    feed = Feed.objects.create(url="https://example.org/feed", title="피드", schedule=busy[0])
    entry = Entry.objects.create(feed=feed, guid="1", title="글", summary="요약", author="저자")
    for name in ("feeds_feed", "feeds_entry", "tasks_calendar", "tasks_tag", "tasks_task"):
        check(korean, reverse(f"admin:{name}_changelist"))
    for name in ("feeds_feed", "tasks_calendar", "tasks_tag", "tasks_task"):
        check(korean, reverse(f"admin:{name}_add"))
        check(korean, reverse(f"admin:{name}_add"), {})
    check(korean, reverse("admin:feeds_feed_add"), {"url": "ftp://example.org"})
    check(korean, reverse("admin:tasks_calendar_add"), {"name": "달력", "dates": "x"})
    for record in (*calls, Calendar.objects.get(), Tag.objects.get()):
        check(korean, page_of(record))
    for record in (feed, entry):
        url = reverse(f"admin:feeds_{record._meta.model_name}_change", args=[record.pk])
        check(korean, url)


def failed_once() -> dict[str, Any]:
    return reasons.reason(Code.NOT_ENQUEUED, error="…").fields


def test_everything_paused_is_said_in_korean(korean: Client, busy: list[ScheduledTask]):
    hold = holds.pause_everything("관리자", "이전")
    check(korean, reverse("admin:tasks_overview"))
    check(korean, reverse("admin:tasks_resume_hold", args=[hold.pk]))
    holds.resume(hold)
    for schedule in busy[:2]:
        check(korean, page_of(schedule))
        check(korean, page_of(schedule, "page"))


def test_the_login_and_what_follows_too_many_of_them_are_in_korean(client: Client):
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "ko"
    check(client, "/admin/login/")
    check(client, "/admin/login/", {"username": "a", "password": "b"})


def test_the_header_switches_the_language(admin_client: Client):
    def language() -> str:
        page = admin_client.get(SCHEDULES).content.decode()
        return re.search(r'<html[^>]* lang="([\w-]+)"', page)[1]  # type: ignore[index]

    assert language() == "en"
    admin_client.post(reverse("set_language"), {"language": "ko"})
    assert language() == "ko"
    admin_client.post(reverse("set_language"), {"language": "en"})
    assert language() == "en"
