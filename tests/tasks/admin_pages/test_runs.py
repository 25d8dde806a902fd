"""Runs and background calls in the admin: what their pages show, and what the actions do."""

import pytest
from django.test import Client
from django.urls import reverse
from redis import Redis
from rq.job import Job as RqJob

from tasks.models import Task
from tasks.reasons import Code, reason
from tasks.services import TaskService
from tests.tasks.functions import ECHO, queued
from tests.tasks.pages import CALLS, RUNS, SCRIPT, act_url, page_of, text_of
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)


# Runs


def test_the_page_of_a_failed_run_shows_reason_traceback_log_and_call(admin_client: Client):
    run = make_run(
        make_row(args=[1], kwargs={"a": "b"}),
        status="failed",
        reason="Failed for: KeyError: 'x'",
        exception_class="builtins.KeyError",
        traceback="Traceback (most recent call last): …",
        log="about to look",
    )
    text = text_of(admin_client.get(page_of(run)))
    for part in (
        run.reason_in_words(),
        run.exception_class,
        run.traceback,
        run.log,
        f'{ECHO}(1, a="b")',
    ):
        assert part in text


def test_runs_are_found_by_the_words_of_their_reason(admin_client: Client):
    schedule = make_row()
    lost = make_run(schedule, status="failed", **reason(Code.LOST_SIGNAL, signal=9).fields)
    make_run(schedule, status="failed", reason="Failed for: KeyError: 'x'")
    response = admin_client.get(RUNS, {"q": "killed by signal"})
    assert [run.pk for run in response.context["cl"].result_list] == [lost.pk]


@pytest.mark.parametrize(
    ("values", "linked"),
    [
        ({"status": "running"}, True),
        ({"status": "finished"}, True),
        ({"status": "finished", "started": ago(7_200), "ended": ago(7_200)}, False),
        ({"status": "missed"}, False),
    ],
)
def test_the_page_of_a_run_links_its_job_as_long_as_redis_keeps_it(
    admin_client: Client, values, linked
):
    run = make_run(make_row(), **values)
    page = admin_client.get(page_of(run)).content.decode()
    assert (f"/{run.run_job_id}/" in page) is linked


def test_the_page_of_a_run_refreshes_itself_until_the_run_has_ended(admin_client: Client):
    schedule = make_row()
    running, ended = make_run(schedule, status="running", progress=40), make_run(schedule)
    assert 'data-live="1000"' in admin_client.get(page_of(running)).content.decode()
    assert 'data-live="0"' in admin_client.get(page_of(ended)).content.decode()
    assert "40%" in text_of(admin_client.get(page_of(running)))


def test_markup_and_control_characters_in_a_run_are_shown_as_text(admin_client: Client):
    nasty = f"{SCRIPT}\x1b[31m\x07"
    texts = dict.fromkeys(("reason", "log", "traceback", "progress_message"), nasty)
    run = make_run(make_row(args=[nasty]), status="failed", progress=5, result=[nasty], **texts)
    for url in (RUNS, page_of(run), page_of(run.parent)):
        page = admin_client.get(url).content.decode()
        assert not any(part in page for part in (SCRIPT, "\x1b", "\x07"))


# Background calls


def test_adding_a_background_call_enqueues_it(admin_client: Client, redis_connection: Redis):
    data = {"function": ECHO, "args": "[1]", "kwargs": '{"a": 2}'}
    admin_client.post(reverse("admin:tasks_task_add"), data)
    [job_id] = queued(redis_connection)
    job = RqJob.fetch(job_id, connection=redis_connection, serializer="json")
    assert (job_id, job.args, job.kwargs) == (Task.objects.get().job_id, [1], {"a": 2})


def test_a_background_call_for_later_is_reserved(admin_client: Client, redis_connection: Redis):
    data = {"function": ECHO, "reserved_for_0": "2100-01-01", "reserved_for_1": "12:00"}
    admin_client.post(reverse("admin:tasks_task_add"), data)
    assert Task.objects.get().status == "reserved"
    assert not queued(redis_connection)


@pytest.mark.parametrize("way", ["list", "detail"])
def test_a_background_call_can_be_cancelled(admin_client: Client, redis_connection: Redis, way):
    call = TaskService.enqueue_task(ECHO)
    if way == "list":
        admin_client.post(CALLS, {"action": "cancel", "_selected_action": [call.pk]})
    else:
        admin_client.post(act_url(call, "cancel"))
    assert Task.objects.get().status == "canceled"
    assert not queued(redis_connection)


@pytest.mark.parametrize("way", ["list", "detail"])
def test_deleting_a_background_call_withdraws_its_job(
    admin_client: Client, redis_connection: Redis, way
):
    call = TaskService.enqueue_task(ECHO)
    if way == "list":
        data = {"action": "delete_selected", "_selected_action": [call.pk], "post": "yes"}
        admin_client.post(CALLS, data)
    else:
        admin_client.post(page_of(call, "delete"), {"post": "yes"})
    assert not Task.objects.exists()
    assert not queued(redis_connection)


def test_saving_the_page_of_a_background_call_changes_nothing(admin_client: Client):
    call = TaskService.enqueue_task(ECHO, 1)
    admin_client.post(page_of(call), {"function": ECHO, "args": "[2]", "kwargs": "{}"})
    assert Task.objects.get().args == [1]
