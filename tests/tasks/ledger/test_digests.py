"""What digests say of many rows is what reading each of them says."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection  # noqa: F401  (the conditions below name it)
from hypothesis import given
from hypothesis import strategies as st

from tasks.ledger import digests
from tasks.ledger.audit import Tally, tallies
from tasks.ledger.digests import Digest
from tasks.models import ScheduledTask, SchedulePeriod
from tests.tasks.schedules import ago, make_row

MINUTE = timedelta(minutes=1)


@given(
    first=st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)),
    step=st.integers(1, 10**8),
    number=st.integers(0, 300),
)
def test_the_digest_of_steps_is_that_of_their_instants(first: datetime, step: int, number: int):
    instants = [first + timedelta(seconds=step) * index for index in range(number)]
    assert Digest.of_steps(first, step, number) == Digest.of(instants)


def due_of(schedule: ScheduledTask, number: int = 7) -> datetime:
    due = schedule.runs.order_by("due")[number].due
    assert due is not None
    return due


def _remove(schedule: ScheduledTask) -> None:
    schedule.runs.order_by("due")[7].delete()


def _move(schedule: ScheduledTask) -> None:
    run = schedule.runs.order_by("due")[7]
    schedule.runs.filter(pk=run.pk).update(due=run.due + timedelta(milliseconds=1))


def _change_places(schedule: ScheduledTask) -> None:
    """Keep the number and the sum."""
    one, other = schedule.runs.order_by("due")[7:9]
    schedule.runs.filter(pk=one.pk).update(due=one.due - MINUTE / 4)
    schedule.runs.filter(pk=other.pk).update(due=other.due + MINUTE / 4)


def _fail(schedule: ScheduledTask) -> None:
    run = schedule.runs.order_by("due")[7]
    schedule.runs.filter(pk=run.pk).update(status="failed")


def _fail_with_attempts_left(schedule: ScheduledTask) -> None:
    ScheduledTask.objects.update(retries=1)
    _fail(schedule)


def _run(schedule: ScheduledTask) -> None:
    run = schedule.runs.order_by("due")[7]
    schedule.runs.filter(pk=run.pk).update(status="running", ended=None)


def _prune(schedule: ScheduledTask) -> None:
    until = due_of(schedule)
    schedule.runs.filter(due__lte=until).delete()
    ScheduledTask.objects.update(pruned_until=until)


def _pause(schedule: ScheduledTask) -> None:
    SchedulePeriod.objects.create(
        parent=schedule,
        kind="active",
        start=schedule.period_start,
        end=schedule.settled_through,
        spec=schedule.spec_json(),
    )
    ScheduledTask.objects.update(
        status="paused", paused_at=schedule.settled_through, period_start=schedule.settled_through
    )


def _add(schedule: ScheduledTask) -> None:
    due = due_of(schedule) + MINUTE / 2
    schedule.runs.create(name="x", due=due, status="missed", ended=due)


def _backfill(schedule: ScheduledTask) -> None:
    due = due_of(schedule, 0) - MINUTE
    schedule.runs.create(name="x", due=due, requested=ago(5), status="missed", ended=due)


def _settle_less(schedule: ScheduledTask) -> None:
    ScheduledTask.objects.update(settled_through=due_of(schedule))


def _pause_and_edit(schedule: ScheduledTask) -> None:
    """Record something that was never due between the end of the pause and its settling."""
    _pause(schedule)
    due = schedule.settled_through + MINUTE
    schedule.runs.create(name="x", due=due, status="missed", ended=due)
    ScheduledTask.objects.filter(pk=schedule.pk).update(settled_through=due + MINUTE / 2)


CHANGES = [
    _pause_and_edit,
    _remove,
    _move,
    _change_places,
    _fail,
    _fail_with_attempts_left,
    _run,
    _prune,
    _pause,
    _add,
    _backfill,
    _settle_less,
]


def recorded(**values: Any) -> ScheduledTask:
    """Return a schedule, due every minute, with a row for each of its first twenty dues."""
    first = ago(1230)
    values = {"first": first, "interval": 60} | values
    schedule = make_row(period_start=first - MINUTE, settled_through=first + 19 * MINUTE, **values)
    for number in range(20):
        due = first + number * MINUTE
        schedule.runs.create(name="x", due=due, status="finished", started=due, ended=due)
    return schedule


def numbers(tally: Tally) -> tuple[Any, ...]:
    return (
        tally.due,
        {status: number for status, number in tally.outcomes.items() if number},
        tally.in_flight,
        tally.overdue,
        tally.missing,
        tally.unexpected,
        tally.problem,
    )


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no digests")
@pytest.mark.parametrize("begin", [None, 900])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
@pytest.mark.django_db(transaction=True)
def test_a_tally_by_digests_is_that_of_the_rows_one_by_one(
    change: Callable[[ScheduledTask], None], begin: int | None, monkeypatch: pytest.MonkeyPatch
):
    changed, other = recorded(), recorded()
    ScheduledTask.objects.filter(pk=other.pk).update(note="unchanged")
    change(changed)
    since = None if begin is None else ago(begin)
    pks = [changed.pk, other.pk]
    by_digests = [numbers(tally) for tally in tallies(pks, since)]
    monkeypatch.setattr(digests, "read", lambda bounds: None)
    assert by_digests == [numbers(tally) for tally in tallies(pks, since)]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no digests")
@pytest.mark.django_db(transaction=True)
def test_rows_that_are_as_expected_are_not_read(monkeypatch: pytest.MonkeyPatch):
    pk = recorded().pk
    monkeypatch.setattr("tasks.ledger.audit._rows", lambda pks, *args: iter(pks and [1 / 0]))
    [tally] = tallies([pk])
    assert (tally.outcomes["finished"], tally.closes) == (20, True)
