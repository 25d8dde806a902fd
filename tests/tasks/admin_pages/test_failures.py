"""Failures in groups: how often, since when, on which schedules, and run again from there."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks.admin_pages.failures import runs_url, trend
from tasks.models import ScheduledTaskInstance
from tasks.reasons import Code, reason
from tasks.reports.failures import failure_groups
from tests.tasks.pages import RUNS, page_of, rows_of, text_of
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db
FAILURES = f"{RUNS}failures/"
TRACEBACK = 'Traceback (most recent call last):\n  File "/srv/shop/jobs.py", line 88, in sync\n'
FAILED = {
    "status": "failed",
    "reason": "Failed for: ConnectTimeout: no answer",
    "exception_class": "shop.ConnectTimeout",
    "traceback": TRACEBACK,
}


def fail(schedule: Any, **values: Any) -> ScheduledTaskInstance:
    return make_run(schedule, **{**FAILED, **values})


def test_a_failure_below_the_sites_own_code_is_placed_there_and_says_where_it_was_raised(
    admin_client: Client,
):
    library = '  File "/srv/venv/lib/python3.11/site-packages/httpx/api.py", line 9, in get\n'
    run = fail(make_row(), traceback=TRACEBACK + library)
    text = text_of(admin_client.get(FAILURES))
    assert "/srv/shop/jobs.py:88 (raised at httpx/api.py:9 )" in text
    assert "/srv/shop/jobs.py line 88, in sync ; raised at httpx/api.py:9" in text_of(
        admin_client.get(page_of(run))
    )


def test_the_page_shows_each_failure_with_its_number_place_and_schedules(admin_client: Client):
    one, other = make_row(name="Price feed"), make_row(name="Nightly report")
    fail(one)
    latest = fail(other)
    make_run(one, status="failed", **reason(Code.LOST_SIGNAL, signal=9).fields)
    text = text_of(admin_client.get(FAILURES))
    for part in ("ConnectTimeout no answer", "2 runs at /srv/shop/jobs.py:88", f"#{latest.pk}"):
        assert part in text
    assert "Lost its process was killed by signal 9." in text
    assert "Price feed" in text
    assert "Nightly report" in text


def test_all_runs_of_a_failure_are_run_again_in_three_clicks(admin_client: Client):
    """From the list of runs: failures in groups, run these again, request."""
    runs = {fail(make_row()).pk for _ in range(20)}
    assert FAILURES in admin_client.get(RUNS).content.decode()
    response: Any = admin_client.get(FAILURES)
    [shown] = response.context_data["groups"]
    assert set(shown["runs"]) == runs
    assert "Run these 20 again…" in text_of(response)
    question = admin_client.post(RUNS, {"action": "run_again", "_selected_action": shown["runs"]})
    assert "Request 20 runs" in text_of(question)


def test_the_runs_of_a_failure_are_linked(admin_client: Client):
    run = fail(make_row())
    fail(make_row(), exception_class="builtins.KeyError")
    assert rows_of(admin_client.get(runs_url("shop.ConnectTimeout"))) == [run]


def test_the_runs_of_a_failure_are_those_that_failed_at_its_place(admin_client: Client):
    schedule, frame = make_row(), 'Traceback\n  File "/site/shop/tasks.py", line %d, in read\n'
    here, _there, _other = (fail(schedule, traceback=frame % line) for line in (35, 351, 3))
    response: Any = admin_client.get(FAILURES)
    [group] = [
        one for one in response.context_data["groups"] if str(one["place"]).endswith("tasks.py:35")
    ]
    assert rows_of(admin_client.get(group["url"])) == [here]


def test_the_trend_has_a_bar_for_each_day():
    schedule = make_row()
    for days in (0, 0, 2):
        fail(schedule, ended=timezone.now() - timedelta(days=days, hours=1), started=ago(900_000))
    found = failure_groups(schedule.__class__.objects.all(), timedelta(days=7))
    [group] = found.groups
    bars = trend(group, found.since, 7)
    assert [bar.height for bar in bars] == [0, 0, 0, 0, 11, 0, 22]
    assert bars[-1].title.endswith(": 2")


def test_the_page_of_a_failed_run_says_how_often_it_failed_in_the_same_way(admin_client: Client):
    schedule = make_row()
    first = fail(schedule, worker_name="w2", ended=ago(600), started=ago(601))
    make_run(schedule)
    fail(schedule, exception_class="builtins.KeyError")
    run = fail(schedule, worker_name="w2")
    response: Any = admin_client.get(page_of(run))
    text = text_of(response)
    assert response.context_data["same"].runs == [run.pk, first.pk]
    assert "2 times since" in text
    assert "each on w2, each at /srv/shop/jobs.py:88." in text
    assert "The same failure" not in text_of(admin_client.get(page_of(first)))


def test_who_may_not_see_runs_sees_no_failures(client: Client, viewer: Client):
    assert viewer.get(FAILURES).status_code == 200
    client.logout()
    assert client.get(FAILURES).status_code == 302
