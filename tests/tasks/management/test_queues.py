"""The commands of django-rq check their queues and functions, and say in a line what is wrong."""

from pathlib import Path
from typing import Any

import django_rq
import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from redis import Redis
from rq import cron

from tasks.management.commands.rqcron import CronScheduler
from tests.tasks import functions
from tests.tasks.functions import queued, work_off

pytestmark = pytest.mark.django_db(transaction=True)

CRON = """
from rq import cron
from tests.tasks import functions

cron.register({function}, {queue!r}, args=(1,), interval=60, meta={{"a": 1}})
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["rqworker", "nosuch"],
        ["rqworker", "high", "nosuch"],
        ["rqworker-pool", "nosuch"],
        ["rqscheduler", "--queue", "nosuch"],
    ],
    ids=" ".join,
)
def test_an_unknown_queue_is_refused_and_the_known_ones_are_named(
    tmp_path: Path, arguments: list[str]
):
    pid = tmp_path / "pid"
    with pytest.raises(CommandError) as caught:
        call_command(*arguments, "--pid", str(pid))
    text = "There is no queue “nosuch”. The queues are: high, default, low, feeds."
    assert str(caught.value) == text
    assert not pid.exists()


@pytest.mark.parametrize("command", ["rqworker", "rqworker-pool"])
def test_a_worker_of_ours_does_not_serve_a_queue_with_another_serializer(
    settings: LazySettings, command: str
):
    settings.RQ_QUEUES = settings.RQ_QUEUES | {"pickled": {"URL": settings.REDIS_URL}}
    with pytest.raises(CommandError, match=r"are not JSON.* --worker-class rq.Worker --job-class"):
        call_command(command, "default", "pickled")


def test_a_scheduler_of_ours_does_not_start_on_another_redis(settings: LazySettings):
    elsewhere = settings.RQ_QUEUES["low"] | {"URL": "redis://elsewhere"}
    settings.RQ_QUEUES = settings.RQ_QUEUES | {"elsewhere": elsewhere}
    with pytest.raises(CommandError, match="“elsewhere” is not on the Redis"):
        call_command("rqscheduler", "--queue", "elsewhere")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--queue", "nosuch", functions.ECHO], "There is no queue “nosuch”"),
        (["os.getpid"], "“os.getpid” is not a registered task function: decorate it"),
        ([], "Name the function to call"),
    ],
    ids=str,
)
def test_rqenqueue_says_in_a_line_what_is_wrong(arguments: list[str], message: str):
    with pytest.raises(CommandError, match=message):
        call_command("rqenqueue", *arguments)


@pytest.mark.parametrize("name", ["tests.only_scheduled", "tests.tasks.functions.only_scheduled"])
def test_rqenqueue_enqueues_a_registered_function(redis_connection: Redis, name: str):
    call_command("rqenqueue", "--queue", "low", name, "1", verbosity=0)
    [job_id] = queued(redis_connection)
    work_off(redis_connection)
    assert django_rq.get_queue("low").fetch_job(job_id).is_finished


@pytest.fixture
def cron_file(tmp_path: Path) -> Any:
    """Return a function that writes a file of cron jobs, and returns its path."""

    def write(function: str = "functions.echo", queue: str = "low", text: str = CRON) -> str:
        path = tmp_path / "cron_file.py"
        path.write_text(text.format(function=function, queue=queue))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"queue": "nosuch"},
            "^There is no queue “nosuch”. The queues are: high, default, low, feeds.$",
        ),
        ({"function": "functions.queued"}, "^“tests.tasks.functions.queued” is not a registered"),
        ({"text": "import not_there"}, "No module named 'not_there'"),
        ({"text": ""}, "registers no jobs: call rq.cron.register"),
    ],
    ids=str,
)
def test_rqcron_says_in_a_line_what_is_wrong_and_does_not_start(
    cron_file: Any, options: dict[str, str], message: str
):
    with pytest.raises(CommandError, match=message):
        call_command("rqcron", cron_file(**options))


@pytest.mark.parametrize("mode", ["on_db_commit", "request_finished"])
def test_what_rqcron_enqueues_is_json_and_runs(
    redis_connection: Redis, cron_file: Any, settings: LazySettings, mode: str
):
    settings.RQ = settings.RQ | {"COMMIT_MODE": mode}
    scheduler = CronScheduler()
    scheduler.load_config_from_file(cron_file())
    [cron_job] = scheduler.enqueue_jobs()
    assert scheduler.enqueue_jobs() == []
    [job_id] = queued(redis_connection)
    assert cron.get_cron_job_ids(cron_job.name, redis_connection) == [job_id]
    work_off(redis_connection)
    job = django_rq.get_queue("low").fetch_job(job_id)
    assert (job.return_value(), job.meta) == ([[1], {}], {"a": 1})
