"""Runs and background calls in the admin: what their pages show, and what the actions do."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from redis import Redis
from rq.job import Job as RqJob

from tasks.broker.enqueue import enqueue_run
from tasks.decorators import background_task, scheduled_task
from tasks.models import ScheduleChange, Task
from tasks.reasons import Code, reason
from tasks.services import TaskService
from tasks.worker.queues import Queues
from tests.tasks.functions import ECHO, queued
from tests.tasks.pages import CALLS, RUNS, SCRIPT, act_url, page_of, staff, text_of
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)


@scheduled_task(name="tests.one_page", max_concurrent=1, limit_key=lambda host: host)
@background_task(name="tests.one_page", max_concurrent=1, limit_key=lambda host: host)
def one_page(host: str) -> None:
    """Do nothing, one at a time for each host."""


# Runs


def test_the_page_of_a_failed_run_shows_reason_traceback_log_and_call(admin_client: Client):
    run = make_run(
        make_row(args=[1], kwargs={"a": "b"}),
        status="failed",
        reason="Failed for: KeyError: 'x'",
        exception_class="builtins.KeyError",
        traceback='Traceback:\n  File "/srv/shop/jobs.py", line 88, in sync\n    look()\n',
        log="about to look",
    )
    text = text_of(admin_client.get(page_of(run)))
    for part in (
        "KeyError: 'x'",
        "in your code: /srv/shop/jobs.py line 88, in sync 88 look()",
        "Full traceback: 1 frame of yours, 0 of libraries folded",
        run.log,
        ECHO,
        'a "b"',
    ):
        assert part in text


def test_the_page_of_a_running_run_estimates_how_long_it_still_takes(admin_client: Client):
    schedule = make_row()
    for _ in range(3):
        make_run(schedule, started=ago(3_600), ended=ago(3_000))
    run = make_run(schedule, status="running", started=ago(300), progress_message="7 of 12")
    text = text_of(admin_client.get(page_of(run)))
    assert "0 % 7 of 12 about 5 min left" in text
    assert "as 3 earlier runs took 10 min" in text


def test_the_page_of_a_failed_run_is_compared_with_the_last_success(admin_client: Client):
    schedule = make_row()
    success = make_run(schedule, log="start\npage 2 done\n", worker_name="w1")
    make_run(schedule, status="failed")
    ScheduleChange.objects.create(
        schedule=schedule,
        by="anna",
        action="changed",
        changes={"timeout": [30, 45], "overlap": ["skip", "wait"]},
    )
    run = make_run(schedule, status="failed", log="start\nno answer\n", worker_name="w2")
    text = text_of(admin_client.get(page_of(run)))
    assert f"#{success.pk}" in text
    assert "Worker w1 w2 differs" in text
    assert "Log parts at page 2 done no answer differs" in text
    assert "anna: Timeout: 30 s → 45 s, Overlap: skip the new run → wait until" in text


def test_a_run_that_finished_is_compared_when_that_is_wanted(admin_client: Client):
    schedule = make_row()
    make_run(schedule, log="a")
    run = make_run(schedule, log="b")
    assert "Log parts at" not in text_of(admin_client.get(page_of(run)))
    assert "Log parts at" in text_of(admin_client.get(page_of(run), {"compare": ""}))


def test_calls_are_compared_by_their_arguments(admin_client: Client):
    ends = {"started": ago(5), "ended": ago(4)}
    for status, number in (("finished", 1), ("failed", 2)):
        call = Task.objects.create(
            name=ECHO, function=ECHO, args=[number], kwargs={"a": 1}, status=status, **ends
        )
    text = text_of(admin_client.get(page_of(call)))
    assert "1 1 2 differs" in text
    assert "a 1 1" not in text


@pytest.mark.parametrize("kind", ["run", "call"])
def test_the_whole_log_is_downloaded_as_text_without_secrets(admin_client: Client, kind: str):
    log = "".join(f"line {number} https://u:hunter2@example.org/\n" for number in range(3_000))
    if kind == "run":
        record: Any = make_run(make_row(name="Prïce/feed"), log=log)
    else:
        record = Task.objects.create(name=ECHO, function=ECHO, log=log)
    response = admin_client.get(page_of(record, "log"))
    text = response.content.decode()
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Content-Disposition"].startswith("attachment; filename=")
    assert text.count("line ") == 3_000
    assert "hunter2" not in text


def test_the_log_of_a_running_run_refreshes_itself_apart_from_the_page(admin_client: Client):
    run = make_run(make_row(), status="running", log="a line of the log\n")
    live = page_of(run, "live_log")
    assert f'data-live-url="{live}"' in admin_client.get(page_of(run)).content.decode()
    assert "a line of the log" in text_of(admin_client.get(live))
    refreshed = admin_client.get(page_of(run), headers={"X-Live": "1"}).content.decode()
    assert 'id="run-state"' in refreshed
    assert "a line of the log" not in refreshed


def test_who_may_not_see_runs_gets_no_log(client: Client):
    run = make_run(make_row(), log="x")
    client.force_login(staff("view_scheduledtask"))
    for page in ("log", "live_log"):
        assert client.get(page_of(run, page)).status_code == 403


def test_the_page_of_a_run_makes_the_same_queries_for_any_number_of_runs(
    admin_client: Client, django_assert_max_num_queries: Any
):
    schedule = make_row()
    for _ in range(30):
        make_run(schedule, status="failed", log="x\n", exception_class="a.B")
        make_run(schedule, log="y\n")
    run = make_run(schedule, status="failed", log="x\n", exception_class="a.B")
    with django_assert_max_num_queries(20):
        admin_client.get(page_of(run))


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
    assert "40 %" in text_of(admin_client.get(page_of(running)))


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


def park(redis: Redis, number: int = 2) -> None:
    """Take the jobs of the default queue: those that find no place wait for one."""
    queues = Queues(redis, "rq:worker:w1", "w1", 90)
    for _ in range(number + 1):
        queues.step([], ["default"])


def test_a_call_that_waits_for_a_place_says_so_on_its_page_and_in_the_list(
    admin_client: Client, redis_connection: Redis
):
    first, second = (TaskService.enqueue_task("tests.one_page", host="h") for _ in range(2))
    park(redis_connection)
    said = "It waits for a place: 1 of 1 of tests.one_page [h]."
    assert said in text_of(admin_client.get(page_of(second)))
    assert said not in text_of(admin_client.get(page_of(first)))
    assert text_of(admin_client.get(CALLS)).count(said) == 1


def test_a_run_whose_next_try_waits_for_a_place_says_so(
    admin_client: Client, redis_connection: Redis
):
    schedule = make_row(function="tests.one_page", args=["h"], retries=1)
    run = make_run(schedule, status="failed")
    TaskService.enqueue_task("tests.one_page", host="h")
    enqueue_run(schedule, run.run_id.next_attempt(), redis_connection)
    park(redis_connection)
    text = text_of(admin_client.get(page_of(run)))
    assert "next try. It waits for a place: 1 of 1 of tests.one_page [h]." in text


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
