"""The decision whether a run may start: by itself, and as both ways to claim a run make it."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.reasons import Code
from tasks.registry import NotAtAll, NotNow
from tasks.runs import sql
from tasks.runs.claim import MustWait, claim
from tasks.runs.policy import Outcome, Row, Running, Situation, decide
from tests.tasks.functions import ECHO
from tests.tasks.runs.situations import KINDS, OVERLAPS, Case, cases

DUE = datetime(2026, 3, 1, 12, tzinfo=UTC)
REGULAR = RunId("schedule-" + "0" * 32, DUE)
BACKFILL = replace(REGULAR, is_backfill=True)
MANUAL = RunId(REGULAR.schedule_job_id, None, requested=DUE)
FREE = Situation(
    run_id=REGULAR,
    now=DUE + timedelta(seconds=10),
    overlap="skip",
    start_deadline=None,
    settled_through=DUE - timedelta(seconds=1),
    is_live=True,
    is_due=True,
    has_request=False,
    row=None,
    running=(),
    has_spooled_ends=False,
    answer=None,
)
OTHER = (Running(DUE - timedelta(minutes=1), is_backfill=False),)
REPLACED = (Running(DUE - timedelta(minutes=2), is_backfill=False, is_replaced=True),)
BACKFILLED = (Running(DUE - timedelta(minutes=1), is_backfill=True),)


def second(run_id: RunId) -> dict[str, Any]:
    """Return the second attempt of a run, whose first one has failed."""
    return {"run_id": run_id.next_attempt(), "row": Row("failed", 1, run_id.is_backfill)}


# Each line: what is otherwise than where nothing stands in the way, and what becomes of the run.
DECISIONS = [
    ({}, Outcome.START),
    ({"is_live": False}, Outcome.NOT_EXPECTED),
    ({"is_due": False}, Outcome.NOT_EXPECTED),
    ({"settled_through": DUE}, Outcome.ALREADY_RECORDED),
    ({"row": Row("finished", 1, False)}, Outcome.ALREADY_RECORDED),
    ({"row": Row("missed", 1, False)}, Outcome.ALREADY_RECORDED),
    ({"start_deadline": 10}, Outcome.START),
    ({"start_deadline": 9}, Outcome.MISSED),
    ({"answer": NotNow("busy")}, Outcome.SKIPPED),
    ({"answer": NotAtAll("gone")}, Outcome.SKIPPED),
    ({"answer": NotNow("busy"), "running": OTHER, "overlap": "replace"}, Outcome.SKIPPED),
    ({"running": OTHER}, Outcome.SKIPPED),
    ({"running": OTHER, "has_spooled_ends": True}, Outcome.WAIT),
    ({"running": OTHER, "overlap": "allow"}, Outcome.START),
    ({"running": OTHER, "overlap": "wait"}, Outcome.WAIT),
    ({"running": OTHER, "overlap": "replace"}, Outcome.REPLACE),
    ({"running": OTHER, "overlap": "replace", "has_spooled_ends": True}, Outcome.WAIT),
    ({"running": REPLACED, "overlap": "replace"}, Outcome.WAIT),
    ({"running": OTHER + REPLACED, "overlap": "replace"}, Outcome.REPLACE),
    ({"running": BACKFILLED}, Outcome.WAIT),
    ({"running": BACKFILLED, "overlap": "replace"}, Outcome.WAIT),
    (second(REGULAR), Outcome.START),
    (second(REGULAR) | {"row": None}, Outcome.ALREADY_RECORDED),
    (second(REGULAR) | {"row": Row("failed", 2, False)}, Outcome.ALREADY_RECORDED),
    (second(REGULAR) | {"row": Row("finished", 1, False)}, Outcome.ALREADY_RECORDED),
    (second(REGULAR) | {"row": Row("failed", 1, True)}, Outcome.ALREADY_RECORDED),
    (second(REGULAR) | {"is_live": False}, Outcome.NOT_EXPECTED),
    (second(REGULAR) | {"is_due": False, "start_deadline": 1}, Outcome.START),
    (second(REGULAR) | {"settled_through": DUE}, Outcome.START),
    (second(REGULAR) | {"running": OTHER}, Outcome.WAIT),
    (second(REGULAR) | {"running": OTHER, "overlap": "replace"}, Outcome.REPLACE),
    ({"run_id": BACKFILL}, Outcome.ALREADY_RECORDED),
    ({"run_id": BACKFILL, "has_request": True}, Outcome.START),
    ({"run_id": BACKFILL, "has_request": True, "row": Row("missed", 1, False)}, Outcome.START),
    ({"run_id": BACKFILL, "has_request": True, "row": Row("skipped", 1, False)}, Outcome.START),
    (
        {"run_id": BACKFILL, "has_request": True, "row": Row("finished", 1, False)},
        Outcome.ALREADY_RECORDED,
    ),
    (
        {"run_id": BACKFILL, "has_request": True, "is_live": False, "settled_through": DUE},
        Outcome.START,
    ),
    ({"run_id": BACKFILL, "has_request": True, "start_deadline": 1}, Outcome.START),
    (
        {"run_id": BACKFILL, "has_request": True, "row": Row("failed", 1, False)},
        Outcome.ALREADY_RECORDED,
    ),
    (second(REGULAR) | {"run_id": BACKFILL.next_attempt(), "has_request": True}, Outcome.START),
    (second(REGULAR) | {"run_id": BACKFILL.next_attempt()}, Outcome.ALREADY_RECORDED),
    (
        second(REGULAR)
        | {
            "run_id": BACKFILL.next_attempt(),
            "has_request": True,
            "row": Row("finished", 1, False),
        },
        Outcome.ALREADY_RECORDED,
    ),
    ({"run_id": BACKFILL, "has_request": True, "running": OTHER}, Outcome.WAIT),
    (second(BACKFILL), Outcome.START),
    (second(BACKFILL) | {"running": OTHER, "overlap": "replace"}, Outcome.WAIT),
    ({"run_id": MANUAL, "is_live": False, "is_due": False}, Outcome.START),
    ({"run_id": MANUAL, "settled_through": DUE, "start_deadline": 1}, Outcome.START),
    ({"run_id": MANUAL, "row": Row("finished", 1, False)}, Outcome.ALREADY_RECORDED),
    ({"run_id": MANUAL, "running": OTHER}, Outcome.SKIPPED),
    ({"run_id": MANUAL, "answer": NotNow("busy")}, Outcome.SKIPPED),
    (second(MANUAL) | {"is_live": False}, Outcome.START),
]


@pytest.mark.parametrize(("differences", "outcome"), DECISIONS)
def test_a_run_starts_waits_or_ends_as_the_policy_says(
    differences: dict[str, Any], outcome: Outcome
):
    assert decide(replace(FREE, **differences)).outcome is outcome


def test_a_run_without_a_schedule_has_nothing_to_start():
    assert decide(None).outcome is Outcome.NO_SCHEDULE


@pytest.mark.parametrize(
    ("differences", "code", "words"),
    [
        ({"start_deadline": 9}, Code.PAST_START_DEADLINE, "within its start deadline of 9 s."),
        ({"running": OTHER}, Code.PREVIOUS_RUN, "The run due 2026-03-01 11:59:00 UTC was still"),
        ({"running": (Running(None, False),)}, Code.PREVIOUS_MANUAL_RUN, "A manual run was"),
        ({"answer": NotNow("busy")}, Code.CHECK_NOT_NOW, "not now: busy"),
        ({"answer": NotAtAll("gone")}, Code.CHECK_NOT_AT_ALL, "ended the schedule: gone"),
    ],
)
def test_a_run_that_is_recorded_without_running_has_its_reason(
    differences: dict[str, Any], code: Code, words: str
):
    reason = decide(replace(FREE, **differences)).reason
    assert reason is not None
    assert reason.code is code
    assert words in str(reason)


# Both ways to claim a run agree with the policy, in every combination


@pytest.mark.django_db
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_the_statement_that_starts_runs_agrees_with_the_policy(
    overlap: str, redis_connection: Redis
):
    """A change of the spec isn't its matter: for a minute after one, it starts nothing."""
    started = Counter[bool]()
    for case in cases(overlap, "regular", is_fresh=False):
        if case.attempt > 1 or case.state == "changed":
            continue
        run_id, now = case.store(redis_connection), timezone.now()
        _, run = sql.write(None, sql.Start(run_id, "worker", now))
        decided = decide(case.situation(run_id, now)).outcome
        assert (run is not None) is (decided is Outcome.START), case
        started[run is not None] += 1
    assert min(started[True], started[False]) > 0, "both are tried"


@pytest.mark.django_db
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_for_a_minute_after_a_change_the_statement_starts_no_run(
    overlap: str, redis_connection: Redis
):
    for case in cases(overlap, "regular", is_fresh=True):
        if case.attempt == 1 and case.start_deadline is None:
            run_id = case.store(redis_connection)
            assert sql.write(None, sql.Start(run_id, "worker", timezone.now())) == (False, None)


@pytest.mark.django_db
@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_claim_agrees_with_the_policy(kind: str, overlap: str, redis_connection: Redis):
    """The schedules have just been changed, so that the statement leaves the claim to the rows."""
    for case in cases(overlap, kind, is_fresh=True):
        run_id = case.store(redis_connection)
        decided = decide(case.situation(run_id, timezone.now())).outcome
        assert outcome_of_claim(run_id, redis_connection) == visible(decided, case), case


def outcome_of_claim(run_id: RunId, redis: Redis) -> str:
    """Claim the run; say what can be seen of what became of it and of the others."""
    runs = ScheduledTask.objects.get(job_id=run_id.schedule_job_id).runs
    before = runs.count()
    try:
        run = claim(Job.create(ECHO, id=run_id.job_id, connection=redis))
    except MustWait:
        is_replaced = runs.running().filter(reason_code=Code.REPLACED).exists()
        waits = "replace" if is_replaced else "wait"
        return waits if runs.count() == before else "waits, with a row"
    if run is not None:
        return f"start {run.attempt}"
    return runs.latest("pk").status if runs.count() > before else "nothing"


def visible(outcome: Outcome, case: Case) -> str:
    """Return what can be seen of an outcome: a row that is there already stays as it is."""
    match outcome:
        case Outcome.START:
            return f"start {case.attempt}"
        case Outcome.WAIT | Outcome.REPLACE:
            return outcome.value
        case Outcome.MISSED | Outcome.SKIPPED if case.row is None:
            return outcome.value
    return "nothing"
