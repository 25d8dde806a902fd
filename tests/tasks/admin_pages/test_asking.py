"""Actions on schedules: the page that asks, what is done then, and the report."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from redis import Redis

from tasks.admin_pages import asking, base
from tasks.models import ScheduleChange, ScheduledTask
from tests.tasks.functions import queued
from tests.tasks.pages import SCHEDULES, act_on, act_url, page_of, text_of
from tests.tasks.reports.test_facts import enqueue, run_of
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)

ASKING = ("pause", "move", "change_queue", "cancel", "delete")
QUARTER = {"amount": 15, "unit": "minutes", "direction": "later"}


def from_list(client: Client, action: str, *schedules: ScheduledTask) -> Any:
    """Choose an action in the list, and return what is answered."""
    data = {
        "action": action,
        "index": 0,
        "_selected_action": [schedule.pk for schedule in schedules],
    }
    return client.post(SCHEDULES, data)


def shown_in(response: Any) -> str:
    """Return what the page says that it has shown, which its POST must say too."""
    [value] = re.findall(r'name="shown" value="([^"]*)"', response.content.decode())
    return str(value)


def moved(client: Client, *schedules: ScheduledTask, **data: Any) -> str:
    """Move schedules, after the preview; return the text of the page that follows."""
    url = reverse("admin:tasks_scheduledtask_act_on_several", args=["move"])
    ids = ",".join(str(schedule.pk) for schedule in schedules)
    data = {"ids": ids, **QUARTER, **data}
    preview = client.post(url, {**data, "preview": "yes"})
    sent = {**data, "confirmed": "yes", "shown": shown_in(preview)}
    return text_of(client.post(url, sent, follow=True))


def test_a_pause_says_that_what_waits_is_lost(admin_client: Client, redis_connection: Redis):
    waiting, other = make_row(), make_row()
    enqueue(redis_connection, run_of(waiting, 30), seconds_ago=30)
    lost = "Occurrences that wait on a queue now never start: they are recorded as missed."
    assert lost in text_of(admin_client.post(act_url(waiting, "pause")))
    assert lost not in text_of(admin_client.post(act_url(other, "pause")))


@pytest.mark.parametrize("action", ASKING)
@pytest.mark.parametrize("way", ["list", "page"])
def test_an_action_asks_before_it_changes_anything(admin_client: Client, way, action):
    schedule = make_row(name="the one", queue="low")
    before = ScheduledTask.objects.values().get()
    if way == "list":
        response = from_list(admin_client, action, schedule)
    else:
        response = admin_client.post(act_url(schedule, action))
    text = text_of(response)
    assert "“the one”" in text
    assert ("Kept in the admin's log" if action == "delete" else "Shown in the history") in text
    assert ScheduledTask.objects.values().get() == before


@pytest.mark.parametrize("way", ["list", "page"])
def test_who_has_answered_is_led_back_to_where_they_came_from(admin_client: Client, way):
    schedule = make_row()
    if way == "list":
        page, url = f"{SCHEDULES}?q=schedule", f"{SCHEDULES}?q=schedule"
        data = {"action": "pause", "index": 0, "_selected_action": [schedule.pk]}
    else:
        page, url, data = page_of(schedule, "page"), act_url(schedule, "pause"), {}
    context: Any = admin_client.post(url, data).context_data
    sent = {"ids": context["ids"], "filters": context["filters"], "confirmed": "yes"}
    response: Any = admin_client.post(context["target"], sent)
    assert response.url == page


def test_resuming_asks_nothing_and_running_asks_for_several(
    admin_client: Client, redis_connection: Redis
):
    first, second = (make_row(status="paused", paused_at=ago(1)) for _ in range(2))
    assert from_list(admin_client, "resume", first, second).status_code == 302
    assert set(ScheduledTask.objects.values_list("status", flat=True)) == {"running"}
    assert from_list(admin_client, "run_now", first).status_code == 302
    assert len(queued(redis_connection)) == 1
    assert "Run 2 schedules now?" in text_of(from_list(admin_client, "run_now", first, second))
    assert len(queued(redis_connection)) == 1


def test_cancelling_says_what_goes_on_and_what_stays(admin_client: Client):
    schedule = make_row()
    make_run(schedule, status="running", ended=None)
    make_run(schedule)
    text = text_of(admin_client.post(act_url(schedule, "cancel")))
    for part in ("1 run is going on", "No coming due time will run", "its runs (2)"):
        assert part in text


def test_deleting_says_how_many_runs_go(admin_client: Client):
    schedule = make_row()
    for _ in range(3):
        make_run(schedule)
    text = text_of(admin_client.get(page_of(schedule, "delete")))
    assert "Runs: 3. This can't be undone." in text


def test_running_now_says_what_comes_of_one_that_is_running(admin_client: Client):
    idle, busy = make_row(), make_row(overlap="skip")
    make_run(busy, status="running", ended=None)
    text = text_of(from_list(admin_client, "run_now", idle, busy))
    assert text.count("It is running: the new run will be skipped.") == 1


def test_the_report_has_a_line_for_each_schedule(admin_client: Client):
    paused = make_row(name="paused one", status="paused", paused_at=ago(1))
    schedules = [make_row(name="first one"), make_row(name="second one"), paused]
    text = text_of(act_on(admin_client, schedules, "pause"))
    assert "2 schedules were paused." in text
    for part in ("first one Paused.", "second one Paused.", "The status of “paused one”"):
        assert part in text


@pytest.mark.parametrize(
    ("action", "line", "data"),
    [
        ("run_now", "run_requested", {}),
        ("pause", "paused", {}),
        ("resume", "resumed", {}),
        ("cancel", "canceled", {}),
        ("change_queue", "changed", {"queue": "low"}),
        ("move", "changed", {**QUARTER, "shown": "15 minutes later"}),
    ],
)
def test_an_action_leaves_one_line_with_who_what_and_why(
    admin_client: Client, admin_user: Any, action, line, data
):
    values = {"status": "paused", "paused_at": ago(1)} if action == "resume" else {}
    schedule = make_row(**values)
    act_on(admin_client, [schedule], action, note="since the supplier asked", **data)
    [change] = ScheduleChange.objects.all()
    assert (change.by, change.action, change.note) == (
        admin_user.get_username(),
        line,
        "since the supplier asked",
    )


def test_a_deletion_is_in_the_log_of_the_site_with_its_reason(admin_client: Client):
    schedule = make_row(name="old one")
    asked = text_of(admin_client.post(act_url(schedule, "delete")))
    assert "Why? Kept in the admin's log" in asked
    assert "Shown in the history" not in asked
    act_on(admin_client, [schedule], "delete", note="replaced")
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.object_id) == ("old one", str(schedule.pk))
    assert entry.get_change_message() == "Deleted. replaced"


def test_moving_shows_the_new_words_before_it_is_done(admin_client: Client):
    schedule = make_row(cron="30 6 * * *", first=None, interval=None, type="cron")
    url = act_url(schedule, "move")
    assert "06:45" not in text_of(admin_client.post(url))
    preview = admin_client.post(url, {**QUARTER, "preview": "yes"})
    assert "06:45" in text_of(preview)
    assert ScheduledTask.objects.get().cron == "30 6 * * *"
    data = {**QUARTER, "confirmed": "yes", "shown": shown_in(preview)}
    assert "1 schedule was moved." in text_of(admin_client.post(url, data, follow=True))
    assert ScheduledTask.objects.get().cron == "45 6 * * *"


def test_moving_shows_the_next_due_times_before_and_after(admin_client: Client):
    schedule = make_row(interval=5_400, first=ago(600))
    data = {"amount": 2, "unit": "hours", "direction": "later", "preview": "yes"}
    text = text_of(admin_client.post(act_url(schedule, "move"), data))
    assert re.search(r"Next due: [^→]+, [^→]+, [^→]+ → [^→]+, [^→]+, ", text)


def test_what_was_changed_after_the_preview_is_shown_again_first(admin_client: Client):
    schedule = make_row(interval=3_600)
    url = act_url(schedule, "move")
    preview = admin_client.post(url, {**QUARTER, "preview": "yes"})
    other = {**QUARTER, "amount": 20, "confirmed": "yes", "shown": shown_in(preview)}
    assert admin_client.post(url, other).status_code == 200
    assert ScheduledTask.objects.get().first == schedule.first


def test_an_interval_and_a_single_time_are_moved(admin_client: Client):
    every = make_row(interval=3_600)
    once = make_row(interval=None, first=ago(-7_200))
    assert "2 schedules were moved." in moved(admin_client, every, once)
    by = {
        schedule: ScheduledTask.objects.get(pk=schedule.pk).first - schedule.first
        for schedule in (every, once)
    }
    assert by[once] == by[every] % timedelta(hours=1) == timedelta(minutes=15)


def test_what_cannot_be_moved_is_refused_in_a_sentence_and_the_others_are_moved(
    admin_client: Client,
):
    fine = make_row(name="fine", interval=3_600)
    same = make_row(name="same", interval=900)
    ended = make_row(name="over", status="death")
    past = make_row(name="past", interval=None, first=ago(3_600))
    text = moved(admin_client, fine, same, ended, past)
    assert "1 schedule was moved." in text
    for part in ("at the same times", "It has ended", "Its only time has passed"):
        assert part in text


def test_a_length_that_is_no_number_is_an_error_at_its_field(admin_client: Client):
    data = {**QUARTER, "amount": "x", "preview": "yes"}
    response = admin_client.post(act_url(make_row(), "move"), data)
    assert response.context["form"].errors.keys() == {"amount"}


def test_only_queues_of_the_project_are_chosen(admin_client: Client):
    schedule = make_row(queue="low")
    data = {"queue": "no-such", "confirmed": "yes"}
    response = admin_client.post(act_url(schedule, "change_queue"), data)
    assert response.context["form"].errors.keys() == {"queue"}
    text = text_of(act_on(admin_client, [schedule], "change_queue", queue="low"))
    assert "is on “low” already" in text
    act_on(admin_client, [schedule], "change_queue", queue="default")
    assert ScheduledTask.objects.get().queue == "default"


def test_all_that_match_are_acted_on_if_that_is_chosen(admin_client: Client):
    for number in range(60):
        make_row(name=f"many {number}")
        make_row(name=f"others {number}")
    data = {"action": "pause", "index": 0, "select_across": 1}
    first = ScheduledTask.objects.filter(name="many 1")
    data["_selected_action"] = [schedule.pk for schedule in first]
    response: Any = admin_client.post(f"{SCHEDULES}?q=many", data)
    assert "Pause 60 schedules?" in text_of(response)
    sent = {"ids": response.context_data["ids"], "confirmed": "yes", "filters": "q=many"}
    response = admin_client.post(response.context_data["target"], sent)
    assert response.url == f"{SCHEDULES}?q=many"
    assert ScheduledTask.objects.filter(status="paused").count() == 60


@pytest.mark.parametrize("way", ["list", "page that asks"])
def test_more_than_one_request_takes_is_refused_with_what_to_do(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, way: str
):
    for module in (base, asking):
        monkeypatch.setattr(module, "MOST_CHOSEN", 2)
    schedules = [make_row() for _ in range(3)]
    if way == "list":
        chosen = {"_selected_action": [schedules[0].pk], "select_across": 1}
        data = {"action": "pause", "index": 0, **chosen}
        text = text_of(admin_client.post(SCHEDULES, data, follow=True))
    else:
        text = text_of(act_on(admin_client, schedules, "pause"))
    assert "3 are chosen, and at most 2 can be changed at once. Nothing was changed" in text
    assert ScheduledTask.objects.live().count() == 3


def test_the_page_that_asks_makes_a_bounded_number_of_queries(
    admin_client: Client, django_assert_max_num_queries: Any
):
    schedules = [make_row() for _ in range(60)]
    for schedule in schedules:
        make_run(schedule, status="running", ended=None)
    for action in ("run_now", "pause", "cancel"):
        with django_assert_max_num_queries(35):
            from_list(admin_client, action, *schedules)


def test_an_interval_with_a_limit_runs_nothing_at_once_when_it_is_moved(admin_client: Client):
    schedule = make_row(first=ago(1_800), interval=3_600, repeat=10, settled_through=ago(1))
    moved(admin_client, schedule)
    schedule.refresh_from_db()
    assert ago(900) - timedelta(minutes=1) < schedule.first < ago(60), "it has passed"
    assert schedule.settled_through > ago(60), "and isn't expected"
