"""What the form says of its “when” while it is typed."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tasks import clock
from tasks.models import Calendar, ScheduledTask
from tests.tasks.pages import page_of, staff, text_of
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db

PREVIEW = reverse("admin:tasks_scheduledtask_preview")
CRON = {"face": "cron", "cron": "0 9 * * 1-5", "timezone": "America/New_York"}
EVERY = {"face": "every", "interval": "15", "interval_unit": "m", "timezone": "UTC"}
ONCE = {"face": "once", "timezone": "UTC", "first_1": "12:00"}


@pytest.fixture
def shown(admin_client: Client) -> Any:
    """Return a function that returns the text of a preview."""
    return lambda **typed: text_of(admin_client.get(PREVIEW, typed))


def test_the_words_and_the_next_ten_due_follow_what_is_typed(admin_client: Client):
    page = admin_client.get(PREVIEW, CRON)
    text = text_of(page)
    assert "At 09:00, Monday through Friday (America/New_York)" in text
    assert page.content.decode().count(" 09:00<") == 10
    assert "You, UTC" in text
    assert re.search(r"first in \d", text)


def test_a_busy_minute_is_said_with_a_free_one(admin_client: Client, shown: Any):
    daily = {"face": "cron", "cron": "0 9 * * *", "timezone": "America/New_York"}
    schedule = make_row(cron="0 9 * * *", timezone="America/New_York")
    for _ in range(6):
        make_row(cron="0 9 * * *", timezone="America/New_York")
    assert "7 others are due at 09:00; 09:01 is free." in shown(**daily)
    assert "6 others are due at 09:00" in shown(**daily, pk=str(schedule.pk))
    assert "6 others are due at 09:00" in text_of(admin_client.get(page_of(schedule)))
    assert "others are due" not in shown(**daily | {"cron": "1 9 * * *"})


def test_the_viewers_zone_stands_beside_the_schedules(admin_client: Client, shown: Any):
    admin_client.cookies["schedule_ledger_zone"] = "Asia/Seoul"
    assert "You, Seoul" in shown(**CRON)
    admin_client.cookies["schedule_ledger_zone"] = "America/New_York"
    assert "You, " not in shown(**CRON)


def test_a_clock_change_is_marked_with_what_it_means_for_the_viewer(shown: Any):
    yearly = CRON | {"cron": "0 9 1 * *"}
    assert re.search(
        r"The clocks of New York go (back|forward) by 1 h on Sun .* 0\d:00\. "
        r"For you it is 1 h (later|earlier) from here\.",
        shown(**yearly),
    )
    gaps = CRON | {"cron": "30 2 8-14 3 SUN", "both_days": "1"}
    assert "doesn’t exist then" in shown(**gaps)
    assert "comes twice then" in shown(**CRON | {"cron": "30 1 1-7 11 *"})


def test_excluded_dates_are_marked(admin_client: Client, shown: Any):
    day = (clock.now() + timedelta(days=2)).date()
    calendar = Calendar.objects.create(name="Holidays", dates=f"{day}")
    daily = {"face": "cron", "cron": "0 9 * * *", "timezone": "UTC"}
    assert "left out: excluded." in shown(**daily, exclude=f"{day}")
    assert "left out: excluded." in shown(**daily, calendar=calendar.pk)
    assert "left out" not in shown(**daily)


def test_a_time_that_has_passed_is_answered_with_what_to_do(shown: Any):
    text = shown(**ONCE, first_0="2020-01-01")
    assert "This time has passed, so nothing will ever be due." in text
    assert "or save it and run it by “Run now”." in text
    assert "nothing will ever" not in shown(**ONCE, first_0="2999-01-01")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"end_0": "2020-01-01", "end_1": "0:00"}, "“not after” has passed"),
        (
            {"repeat": 2, "first_0": "2020-01-01", "first_1": "0:00"},
            "it has been due as often as “repeat” says",
        ),
    ],
)
def test_limits_that_leave_nothing_are_named(shown: Any, limits: Any, words: str):
    assert words in shown(**EVERY, **limits)


def test_an_anchor_that_has_passed_is_only_noted(shown: Any):
    text = shown(**EVERY, first_0="2020-01-01", first_1="0:00")
    assert "which has passed: what would have been due isn’t." in text


def test_what_is_wrong_is_said_in_place_of_the_dues(shown: Any):
    text = shown(**CRON | {"cron": "61 * * * *"})
    assert "61 * * * *" in text
    assert "first in" not in text
    assert "Say how often" in shown(face="every", timezone="UTC")


def test_the_choices_write_the_expression_and_an_expression_sets_the_choices(admin_client: Client):
    choices = {"cron_on": "weekdays", "cron_at": "07:30", "_write": "1"}
    content = admin_client.get(PREVIEW, CRON | choices).content.decode()
    assert 'data-cron="30 7 * * 1-5"' in content
    content = admin_client.get(PREVIEW, CRON | {"cron": "0 6 L * *"}).content.decode()
    assert 'data-on="last" data-at="06:00"' in content
    assert (
        "data-on=" not in admin_client.get(PREVIEW, CRON | {"cron": "*/7 * * * *"}).content.decode()
    )


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_preview_changes_nothing(admin_client: Client, method: str):
    schedule = make_row(interval=60)
    before = ScheduledTask.objects.filter(pk=schedule.pk).values().get()
    getattr(admin_client, method)(PREVIEW, EVERY | {"pk": schedule.pk, "retries": 9})
    assert ScheduledTask.objects.values().get() == before


def test_a_preview_needs_few_queries(admin_client: Client, django_assert_max_num_queries: Any):
    schedule = make_row(interval=60)
    with django_assert_max_num_queries(8):
        admin_client.get(PREVIEW, EVERY | {"pk": schedule.pk})


def test_only_who_may_save_gets_a_preview(client: Client):
    schedule = make_row()
    client.force_login(staff("view_scheduledtask"))
    assert client.get(PREVIEW, EVERY).status_code == 403
    assert client.get(PREVIEW, EVERY | {"pk": schedule.pk}).status_code == 403


# Policies


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ({"overlap": "skip"}, "would be recorded as skipped and not run."),
        ({"overlap": "allow"}, "both would run at the same time."),
        ({"overlap": "wait"}, "would wait until it has ended."),
        ({"overlap": "replace"}, "it would be stopped and recorded as cancelled"),
        ({"catch_up": "latest"}, "for the newest time that was missed"),
        ({"catch_up": "all"}, "the newest 100 at most"),
        ({"catch_up": "none"}, "is recorded as missed and not run."),
        ({"retries": 0}, "A failure is recorded as failed and not tried again."),
        ({"retries": 1, "retry_delay": 60}, "tried once more, 1 min after it, and then"),
        ({"retries": 9, "retry_delay": 60}, "tried 9 times more, 1 min, 2 min, 3 min… after it"),
        ({"timeout": "10", "timeout_unit": "m"}, "After 10 min a run is stopped and recorded as"),
        ({"isolated": "True"}, "Each run gets a process of its own"),
        ({"isolated": "False"}, "Runs share a worker’s process"),
        ({"on_disconnect": "continue"}, "goes on. It may be tried again elsewhere"),
        ({"keep_runs": "960", "keep_days": ""}, "newest 960 runs, about 10 days’."),
        ({"keep_runs": "", "keep_days": "30"}, "A run is deleted after 30 days."),
        ({"keep_runs": "", "keep_days": ""}, "All runs are kept for ever."),
    ],
)
def test_each_policy_says_what_would_happen(shown: Any, policies: Any, words: str):
    assert words in shown(**EVERY, **policies)


def test_a_start_deadline_is_said_as_the_time_until_which_a_run_may_start(shown: Any):
    far = EVERY | {"first_0": "2999-01-01", "first_1": "09:00"}
    text = shown(**far, start_deadline="2", start_deadline_unit="h", catch_up="latest")
    assert (
        "After a gap over Tue 1 Jan 09:00, one run starts as soon as it can, until Tue 1 Jan 11:00"
        in text
    )


def test_the_sentences_are_on_the_page_without_a_script(admin_client: Client):
    schedule = make_row(interval=60, overlap="wait", timeout=60)
    make_run(schedule, started=ago(20), ended=ago(10))
    text = text_of(admin_client.get(page_of(schedule)))
    assert "would wait until it has ended." in text
    assert "The latest 1 runs took 10.0 s, at most 10.0 s. After 1 min a run is stopped" in text
