"""Running chosen runs again, and stopping them: what is asked, what is done, and for whom."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from redis import Redis

from tasks.admin_pages.run_actions import MOST_RUNS, plan_again
from tasks.models import RunRequest, ScheduledTaskInstance, Task
from tasks.services import SchedulerService, TaskService
from tasks.worker import Worker
from tests.tasks.functions import ECHO, queued, work_off
from tests.tasks.pages import CALLS, RUNS, act_url, page_of, staff, text_of
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)
VIEW = ("view_scheduledtask", "view_scheduledtaskinstance")


def choose(client: Client, action: str, *runs: Any, **more: Any) -> Any:
    data = {"action": action, "_selected_action": [run.pk for run in runs], **more}
    return client.post(RUNS, data)


def do(client: Client, action: str, *runs: Any, **more: Any) -> Any:
    return choose(client, action, *runs, confirmed="1", **more)


def of_staff(client: Client, *permissions: str) -> Client:
    client.force_login(staff(*VIEW, *permissions))
    return client


# Running again


def test_runs_are_requested_only_after_the_question(admin_client: Client, redis_connection: Redis):
    runs = [make_run(make_row(), status="failed") for _ in range(3)]
    text = text_of(choose(admin_client, "run_again", *runs))
    assert "Run these 3 runs again?" in text
    assert "Request 3 runs" in text
    assert not RunRequest.objects.exists()
    do(admin_client, "run_again", *runs)
    assert {request.parent for request in RunRequest.objects.all()} == {run.parent for run in runs}
    assert len(queued(redis_connection)) == 3


def test_a_run_that_was_requested_again_says_who_requested_it_and_when(
    client: Client, redis_connection: Redis
):
    schedule = make_row(first=ago(7_200), period_start=ago(7_300), retries=0)
    runs = [
        make_run(schedule, status="failed", due=schedule.first),
        make_run(schedule, status="finished"),
    ]
    of_staff(client, "run_scheduledtask")
    do(client, "run_again", *runs)
    work_off(redis_connection)
    requested = ScheduledTaskInstance.objects.filter(requested__isnull=False)
    assert [run.requested_by for run in requested] == ["somebody", "somebody"]
    for run in requested:
        words = "backfill" if run.due else "a manual request"
        at = timezone.localtime(run.requested)
        assert f"{words} by somebody, {at:%Y-%m-%d %H:%M:%S}" in text_of(client.get(page_of(run)))
    lines = schedule.changes.filter(action="run_requested")
    assert [line.by for line in lines] == ["somebody"]


def test_what_ran_is_called_once_now_and_each_that_failed_or_never_ran_is_run_for_its_due():
    schedule = make_row(name="b", first=ago(7_200), period_start=ago(7_300))
    first, second = schedule.first, schedule.first + timedelta(hours=1)
    runs = [
        make_run(schedule, status="finished"),
        make_run(schedule, status="canceled"),
        make_run(schedule, status="failed", due=second),
        make_run(schedule, status="failed", due=ago(77)),  # The spec doesn't yield it any more.
        make_run(schedule, status="missed", due=first),
    ]
    other = make_row(name="a")
    own = {"args": [1], "kwargs": {}}
    for number, arguments in enumerate((own, own, None)):
        requested = ago(number)
        runs.append(
            make_run(other, status="failed", due=None, requested=requested, arguments=arguments)
        )
    one, two = plan_again(runs)
    assert (one.schedule, one.dues, one.calls, one.requests) == (other, [], [own, None], 2)
    assert (two.dues, two.calls) == ([first, second], [None])
    assert (two.ran, two.chosen, two.requests) == (3, 5, 3)


def test_what_failed_or_never_ran_is_requested_for_its_due(admin_client: Client):
    schedule = make_row(first=ago(7_200), settled_through=ago(0), period_start=ago(7_300))
    assert schedule.first is not None
    dues = [schedule.first, schedule.first + timedelta(hours=1)]
    runs = [
        make_run(schedule, status="missed", due=dues[0]),
        make_run(schedule, status="failed", due=dues[1]),
        make_run(schedule, status="skipped", due=ago(1)),  # The spec yields nothing then.
    ]
    response = do(admin_client, "run_again", *runs)
    assert [(one.due, one.attempt) for one in RunRequest.objects.all()] == [
        (dues[0], 1),
        (dues[1], 2),
    ]
    text = text_of(admin_client.get(response.url))
    assert "2 runs were requested." in text
    page = admin_client.get(page_of(schedule, "page"))
    assert "2 runs requested again" in text_of(page)
    assert "present spec doesn't yield it" in text


def test_a_run_with_arguments_of_its_own_is_run_again_with_these(admin_client: Client):
    own = {"args": [1], "kwargs": {"a": 2}}
    run = make_run(make_row(), status="failed", due=None, requested=ago(9), arguments=own)
    do(admin_client, "run_again", run)
    assert RunRequest.objects.get().arguments == own


def test_a_run_is_run_again_from_its_page_at_once_and_the_page_is_shown_again(admin_client: Client):
    run = make_run(make_row(), status="failed")
    assert "Run again" in text_of(admin_client.get(page_of(run)))
    response = do(admin_client, "run_again", run, from_page="1")
    assert response.url == page_of(run)
    assert RunRequest.objects.get().parent == run.parent


def test_one_action_takes_a_bounded_number_of_runs(admin_client: Client):
    schedule = make_row()
    for _ in range(MOST_RUNS + 1):
        make_run(schedule, status="failed")
    runs = ScheduledTaskInstance.objects.all()
    text = text_of(choose(admin_client, "run_again", *runs))
    assert f"Run these {MOST_RUNS} runs again?" in text
    assert f"only the newest {MOST_RUNS} are taken" in text


def test_who_may_not_run_schedules_is_offered_nothing_and_runs_nothing(client: Client):
    run = make_run(make_row(), status="failed")
    of_staff(client, "stop_run")
    assert "Run again" not in text_of(client.get(page_of(run)))
    assert "Run again" not in text_of(client.get(RUNS))
    do(client, "run_again", run)
    assert not RunRequest.objects.exists()


def test_who_may_run_schedules_needs_no_right_to_change_them(client: Client):
    run = make_run(make_row(), status="failed")
    do(of_staff(client, "run_scheduledtask"), "run_again", run)
    assert RunRequest.objects.count() == 1


# Stopping


@pytest.fixture
def run(db: None) -> ScheduledTaskInstance:
    return make_run(make_row(), status="running", worker_name="w1")


def reason_of(run: ScheduledTaskInstance) -> str:
    run.refresh_from_db()
    return run.reason_in_words()


def test_a_run_is_stopped_only_after_the_question_in_the_name_of_who_did(
    client: Client, run: ScheduledTaskInstance
):
    of_staff(client, "stop_run")
    assert "Stop…" in text_of(client.get(page_of(run)))
    assert "Stop this run?" in text_of(choose(client, "stop", run, from_page="1"))
    assert reason_of(run) == ""
    response = do(client, "stop", run, from_page="1")
    assert response.url == page_of(run)
    assert reason_of(run) == "Stopped by somebody."
    assert LogEntry.objects.get().change_message == "Stopped."


def test_who_may_not_stop_runs_is_offered_nothing_and_stops_nothing(
    client: Client, run: ScheduledTaskInstance
):
    of_staff(client, "run_scheduledtask", "change_scheduledtask")
    assert "Stop…" not in text_of(client.get(page_of(run)))
    assert "Stop…" not in text_of(client.get(RUNS))
    do(client, "stop", run)
    assert reason_of(run) == ""


def test_runs_that_have_ended_meanwhile_are_reported_and_the_others_stopped(
    admin_client: Client, run: ScheduledTaskInstance
):
    ended = make_run(make_row(name="over"))
    response = do(admin_client, "stop", run, ended)
    text = text_of(admin_client.get(response.url))
    assert "1 run is being stopped." in text
    assert "isn't running" in text
    assert reason_of(run) == "Stopped by admin."


def test_only_the_chosen_runs_that_are_running_are_asked_about(
    admin_client: Client, run: ScheduledTaskInstance
):
    ended = [make_run(make_row()) for _ in range(2)]
    asked: Any = choose(admin_client, "stop", run, *ended)
    assert "Stop this run?" in text_of(asked)
    assert "2 of the chosen runs have ended: they are left alone." in text_of(asked)
    assert asked.context_data["runs"] == [run]


@pytest.mark.parametrize(
    ("number", "words"), [(1, "This run isn't running"), (3, "None of these 3 runs is running")]
)
def test_nothing_is_asked_if_no_chosen_run_is_running(
    admin_client: Client, number: int, words: str
):
    response = choose(admin_client, "stop", *[make_run(make_row()) for _ in range(number)])
    assert words in text_of(admin_client.get(response.url))


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_at_a_run_or_at_the_list_changes_nothing(
    admin_client: Client, run: ScheduledTaskInstance, method: str
):
    values = {"action": "stop", "_selected_action": run.pk, "confirmed": "1"}
    for url in (RUNS, page_of(run)):
        getattr(admin_client, method)(url, values)
    assert reason_of(run) == ""


# Background calls


def test_a_call_is_cancelled_in_the_name_of_who_did(client: Client):
    call = TaskService.enqueue_task(ECHO)
    client.force_login(staff("view_task", "change_task"))
    client.post(act_url(call, "cancel"))
    call.refresh_from_db()
    assert (call.status, call.reason_in_words()) == ("canceled", "Cancelled by somebody.")


@pytest.fixture
def running_call() -> Task:
    call = TaskService.enqueue_task(ECHO)
    Task.objects.update(status="running", started=timezone.now(), worker_name="w1")
    return call


@pytest.mark.parametrize("way", ["list", "page"])
def test_stopping_a_running_call_asks_first(admin_client: Client, running_call: Task, way: str):
    waiting = TaskService.enqueue_task(ECHO)
    sent = {"action": "cancel", "_selected_action": [running_call.pk, waiting.pk]}
    url = CALLS if way == "list" else act_url(running_call, "cancel")
    asked: Any = admin_client.post(url, sent)
    assert "Stop this call?" in text_of(asked)
    assert ("The other calls are cancelled" in text_of(asked)) is (way == "list")
    assert asked.context_data["running"] == [running_call]
    assert set(Task.objects.values_list("status", flat=True)) == {"running", "queued"}
    admin_client.post(url, sent | {"confirmed": "1"})
    running_call.refresh_from_db()
    assert running_call.status == "canceled"
    assert running_call.reason_in_words() == "Cancelled by admin."


@pytest.mark.parametrize("may", [True, False])
def test_what_runs_now_offers_to_stop_a_call_to_those_who_may(
    client: Client, running_call: Task, redis_connection: Redis, may: bool
):
    worker = Worker(["default"], connection=redis_connection, name="w1")
    worker.register_birth()
    client.force_login(staff("view_task", "view_scheduledtask", *["change_task"] * may))
    page = client.get(reverse("admin:tasks_overview"))
    assert running_call.name in text_of(page)
    assert (f'action="{act_url(running_call, "cancel")}"' in page.content.decode()) is may


@pytest.mark.parametrize("way", ["list", "page"])
def test_a_call_that_has_ended_can_be_made_again(
    admin_client: Client, redis_connection: Redis, way: str
):
    call = TaskService.enqueue_task(ECHO, 1, a=2)
    TaskService.cancel_task(call)
    if way == "list":
        admin_client.post(CALLS, {"action": "call_again", "_selected_action": [call.pk]})
    else:
        admin_client.post(act_url(call, "call_again"))
    again = Task.objects.exclude(pk=call.pk).get()
    assert (again.status, again.args, again.kwargs) == ("queued", [1], {"a": 2})


def test_a_run_is_stopped_from_django_rqs_page_in_the_name_of_who_did(
    admin_client: Client, run: ScheduledTaskInstance
):
    admin_client.post(f"/admin/django_rq/dashboard/queues/1/{run.run_job_id}/stop/")
    assert reason_of(run) == "Stopped by admin."
    SchedulerService.stop_run(run)
