"""`manage.py ledger` says for each schedule whether its ledger closes, and fails if not."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from redis import Redis

from tasks import clock
from tasks.broker.keys import CLOCKS_KEY
from tasks.models import ScheduledTask
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def run(*args: str) -> str:
    """Return what the command prints, whether the ledger closes or not."""
    out = StringIO()
    try:
        call_command("ledger", *args, stdout=out)
    except CommandError as error:
        out.write(str(error))
    return out.getvalue()


def hourly(**values: Any) -> ScheduledTask:
    """Store a schedule that was due three times: 150, 90 and 30 minutes ago."""
    first = ago(150 * 60)
    return make_row(first=first, period_start=first - timedelta(seconds=1), **values)


def record(schedule: ScheduledTask, *statuses: str) -> None:
    """Record the first occurrences of a schedule with these statuses."""
    first = schedule.first
    assert first is not None
    for number, status in enumerate(statuses):
        due = first + timedelta(hours=number)
        started = None if status in ("missed", "skipped") else due
        ended = None if status == "running" else due
        schedule.runs.create(name="x", due=due, status=status, started=started, ended=ended)


def numbers(output: str, name: str) -> list[int]:
    """Return the columns of a schedule."""
    [line] = [line for line in output.splitlines() if name in line]
    return [int(cell.replace(",", "")) for cell in line.split(name)[1].split()]


def test_each_outcome_has_its_column_in_the_ledger():
    record(hourly(name="aaa"), "finished", "failed", "canceled")
    record(hourly(name="bbb"), "missed", "skipped", "running")
    output = run()
    assert numbers(output, "aaa") == [3, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert numbers(output, "bbb") == [3, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert numbers(output, "Total") == [6, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert "The ledger closes." in output


def test_an_occurrence_that_may_wait_for_workers_is_in_flight_then_overdue_but_not_missing():
    first = ago(150 * 60)
    schedule = hourly(name="aaa", settled_through=first)
    record(schedule, "finished")
    output = run()
    assert numbers(output, "aaa") == [3, 1, 0, 0, 0, 0, 0, 2, 0, 0]
    missing = schedule.first + timedelta(hours=1)
    assert f"overdue: {missing:%Y-%m-%d %H:%M:%S}" in output
    assert "missing: " not in output
    make_row(name="bbb", first=ago(60), period_start=ago(61), settled_through=ago(61))
    assert numbers(run(), "bbb") == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_the_ledger_command_fails_if_an_occurrence_is_overdue():
    hourly(settled_through=ago(151 * 60))
    with pytest.raises(CommandError, match=r"doesn't close: 3 overdue\.") as caught:
        call_command("ledger", stdout=StringIO())
    assert caught.value.returncode == 1


def test_the_ledger_command_fails_if_a_row_is_missing():
    schedule = hourly(name="aaa")
    record(schedule, "finished", "finished")
    with pytest.raises(CommandError, match=r"doesn't close: 1 missing\.") as caught:
        call_command("ledger", stdout=StringIO())
    assert caught.value.returncode == 1
    missing = schedule.first + timedelta(hours=2)
    assert f"missing: {missing:%Y-%m-%d %H:%M:%S}" in run()


def test_the_ledger_command_fails_if_a_row_is_unexpected():
    schedule = hourly(name="aaa")
    record(schedule, "finished", "finished", "finished")
    schedule.runs.create(name="x", due=ago(60), status="missed", ended=ago(60))
    output = run()
    assert numbers(output, "aaa") == [3, 3, 0, 0, 0, 0, 0, 0, 0, 1]
    assert "unexpected: " in output
    assert "1 unexpected." in output


def test_only_the_first_of_many_missing_rows_are_named():
    make_row(first=ago(3600), interval=60, period_start=ago(3601), settled_through=ago(30))
    output = run()
    assert output.count("missing: ") == 10
    assert "and 50 more" in output


def test_the_ledger_of_one_schedule_is_shown_by_id_or_name():
    first, second = hourly(name="aaa"), hourly(name="bbb")
    record(first, "missed", "missed", "missed")
    assert "bbb" not in run("--schedule", str(first.pk))
    assert "aaa" not in run("--schedule", second.name)


def test_since_leaves_out_of_the_ledger_what_was_due_before():
    schedule = hourly(name="aaa")
    record(schedule, "missed", "missed", "missed")
    second = schedule.first + timedelta(hours=1)
    assert numbers(run("--since", second.isoformat()), "aaa")[0] == 2


@pytest.mark.parametrize("wrong", ["soon", "2026-13-45", "2026-01-32T10:00", "0", ""])
def test_an_invalid_time_is_named_by_the_ledger_command(wrong: str):
    with pytest.raises(CommandError, match=f"“{wrong}” is not a valid time: write 2026-01-31"):
        call_command("ledger", since=wrong)


@pytest.mark.parametrize("wrong", ["0", "nobody", "99999999999999999999", "²"])
def test_an_unknown_schedule_is_named_by_the_ledger_command(wrong: str):
    with pytest.raises(CommandError, match=f"no schedule with the id or name “{wrong}”"):
        call_command("ledger", schedule=wrong)


def test_a_name_that_several_schedules_have_needs_an_id():
    schedules = [hourly(name="same", args=[number]) for number in range(2)]
    ids = ", ".join(str(schedule.pk) for schedule in schedules)
    with pytest.raises(CommandError, match=f"one of the ids {ids}"):
        call_command("ledger", schedule="same")


def test_an_invalid_spec_is_a_problem_of_the_ledger():
    schedule = hourly(name="aaa")
    record(schedule, "finished")
    ScheduledTask.objects.filter(pk=schedule.pk).update(
        type="cron", cron="61 * * * *", first=None, interval=None
    )
    output = run()
    assert "problem: “61 * * * *” has a bad minute" in output
    assert "doesn't close: 1 problem." in output


def test_the_ledger_closes_without_schedules():
    assert "The ledger closes." in run()


def test_the_columns_of_the_ledger_are_aligned():
    record(hourly(name="名" * 40), "finished", "finished", "finished")
    record(hourly(name="b"), "finished", "finished", "finished")
    heading, first, second, *_ = run().splitlines()
    assert len(heading) == len(second) == len(first) + first.count("名")


def test_the_ledger_from_a_time_in_the_future_on_is_refused():
    with pytest.raises(CommandError, match="--since is in the future"):
        call_command("ledger", since="2099-01-01")


def test_a_schedule_whose_function_is_gone_or_takes_other_arguments_is_a_problem_of_the_ledger():
    make_row(name="aaa", function="gone.away")
    make_row(name="bbb", function="tests.only_scheduled", args=["abc"])
    make_row(name="ccc", function="gone.away", status="death")
    output = run()
    assert "problem: No task function is registered as “gone.away”." in output
    assert "problem: “number” must be a whole number, not 'abc'." in output
    assert "2 problems." in output


def test_the_ledger_says_whose_clock_is_off(redis_connection: Redis):
    entry = json.dumps([clock.timestamp(), 60.0])
    redis_connection.hset(CLOCKS_KEY, "Scheduler s1", entry)
    assert "Scheduler s1: the system's clock is 1 min ahead of Redis's" in run()


def test_the_ledger_is_checked_while_redis_is_unavailable(redis_unavailable: Any):
    redis_unavailable(True)
    assert "The ledger closes." in run()


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_the_ledger_command_says_how_far_it_is_beside_a_table_that_goes_to_a_file(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("tasks.management.commands.ledger.SAID_EVERY", 0)
    make_row()
    make_row()
    out, err = StringIO(), Terminal()
    call_command("ledger", stdout=out, stderr=err)
    assert "1 of 2 schedules have been checked." in err.getvalue()
    assert "have been checked" not in out.getvalue()
