"""The line at the top of each page: whether everything is on time."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tasks.admin_pages import health
from tasks.admin_pages.health import REFRESH_MS, state_of
from tasks.reports.facts import Facts
from tasks.reports.health import Code, Problem, Severity, Verdict, judge
from tests.tasks.pages import CALLS, RUNS, SCHEDULES, page_of, staff, text_of
from tests.tasks.reports.test_health import facts
from tests.tasks.schedules import make_row, make_run

pytestmark = pytest.mark.django_db
NOTHING = facts(known=0, live=0, next_due=None)
HEALTH = reverse("admin:tasks_health")


def problem(code: Code, severity: Severity) -> Problem:
    return Problem(code, severity, short="wrong", text="Wrong.", detail="", fix="")


def verdict(*problems: Problem, short: str = "All on time · next due in 4 s") -> Verdict:
    severity = problems[0].severity if problems else None
    return Verdict(severity, "All on time.", "", short, problems)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that says how everything is."""

    def set_verdict(value: Verdict, facts: Facts | None = None) -> None:
        monkeypatch.setattr(health, "health", lambda redis, schedules, calls: (value, facts))

    return set_verdict


@pytest.mark.parametrize(
    "page", [SCHEDULES, RUNS, CALLS, "calendar", "run", "feeds", "zone", "index"]
)
def test_each_page_says_once_whether_everything_is_on_time(admin_client: Client, page: str):
    pages = {
        "calendar": reverse("admin:tasks_calendar_add"),
        "feeds": reverse("admin:feeds_feed_changelist"),
        "zone": reverse("admin:tasks_zone"),
        "index": reverse("admin:index"),
        "run": page_of(make_run(make_row())),
    }
    text = admin_client.get(pages.get(page, page)).content.decode()
    assert text.count('id="sl-health"') == 1
    assert "No scheduler runs" in text


def test_the_line_is_fetched_alone_to_be_kept_up_to_date(
    admin_client: Client, judged: Callable[[Verdict], None]
):
    judged(verdict())
    text = admin_client.get(HEALTH).content.decode()
    assert f'data-live="{REFRESH_MS}" data-live-url="{HEALTH}"' in text
    assert "<html" not in text


def test_only_the_verdict_is_announced_not_the_seconds_that_pass(
    admin_client: Client, judged: Callable[[Verdict], None]
):
    judged(verdict())
    text = admin_client.get(HEALTH).content.decode()
    assert '<span aria-live="polite">All on time</span>' in text
    assert "next due in 4 s" in text


def test_those_who_may_not_see_schedules_do_not_learn_how_they_are(client: Client):
    client.force_login(staff("view_calendar"))
    assert text_of(client.get(HEALTH)) == ""
    assert (
        "sl-health" not in client.get(reverse("admin:tasks_calendar_changelist")).content.decode()
    )


@pytest.mark.parametrize(("may_add", "page"), [(True, "scheduledtask_add"), (False, "overview")])
def test_where_there_is_no_schedule_the_line_leads_to_adding_one(
    client: Client, judged: Callable[..., None], may_add: bool, page: str
):
    client.force_login(staff("view_scheduledtask", *["add_scheduledtask"] * may_add))
    judged(judge(NOTHING), NOTHING)
    line = client.get(HEALTH)
    assert f'href="{reverse(f"admin:tasks_{page}")}"' in line.content.decode()
    assert text_of(line) == ("No schedule yet · add one" if may_add else "No schedule yet")
    overview = client.get(reverse("admin:tasks_overview"))
    assert "No schedule yet. Nothing is due until one is added." in text_of(overview)
    assert ("Add schedule" in text_of(overview)) is may_add


def test_a_name_with_markup_is_shown_as_text(
    admin_client: Client, judged: Callable[[Verdict], None]
):
    judged(verdict(problem(Code.FAILING, Severity.ERROR), short="<b>x</b> fails"))
    assert "&lt;b&gt;x&lt;/b&gt; fails" in admin_client.get(HEALTH).content.decode()


@pytest.mark.parametrize(
    ("problems", "expected"),
    [
        ([], "finished"),
        ([problem(Code.FAILING, Severity.ERROR)], "failed"),
        ([problem(Code.REDIS_UNAVAILABLE, Severity.ERROR)], "failed"),
        ([problem(Code.BEHIND, Severity.ERROR)], "late"),
        ([problem(Code.EVERYTHING_PAUSED, Severity.WARNING)], "late"),
    ],
)
def test_what_is_late_is_amber_and_what_fails_is_red(problems: list[Problem], expected: str):
    assert state_of(verdict(*problems)) == expected


def test_the_line_costs_few_queries(admin_client: Client, django_assert_max_num_queries: Any):
    for _ in range(3):
        make_run(make_row(status="failed"), status="failed")
    # Two are the session and the user.
    with django_assert_max_num_queries(10):
        admin_client.get(HEALTH)
