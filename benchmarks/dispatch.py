"""Dispatch: how many occurrences a second go on their queue when very many are due at once."""

from typing import Any

from benchmarks.figures import Figure, Round, at_least, ratio
from benchmarks.questions import Case, Question, called
from benchmarks.scale import Scale
from benchmarks.site import CELERY, PEERS, POSTGRESQL, Environment

INTERVAL, CRON = "**this project**, intervals", "**this project**, cron"
STOCK, FLOOR = "rq-scheduler, intervals", "floor: bare Lua COPY"
BEAT_SECONDS = 5


def question(scale: Scale) -> Question:
    """Return the question for `scale.due` schedules."""
    number = scale.due

    def ours(who: str, **arguments: Any) -> Case:
        target = "benchmarks.ours.dispatch:dispatch"
        return called(who, target, ours=True, number=number, **arguments)

    def peer(who: str, function: str, environment: Environment = PEERS, **arguments: Any) -> Case:
        target = f"benchmarks.peers.dispatch:{function}"
        return called(who, target, environment, number=number, **arguments)

    return Question(
        "dispatch",
        (
            Figure("rate", f"dispatch, {number:,} due at once, per second", at_least(30_000)),
            Figure("of_stock", "dispatch, times rq-scheduler's", at_least(25)),
            Figure("of_floor", "dispatch, % of the floor", at_least(70)),
        ),
        (
            ours(INTERVAL, spec="interval"),
            ours(CRON, spec="cron"),
            called(FLOOR, "benchmarks.ours.dispatch:floor", number=number),
            peer(STOCK, "rq_scheduler", spec="interval"),
            peer("rq-scheduler, cron", "rq_scheduler", spec="cron"),
            peer("rq CronScheduler", "rq_cron"),
            peer("huey", "huey"),
            peer("APScheduler, memory (sends nothing)", "apscheduler"),
            peer(
                f"celery beat, first {BEAT_SECONDS} s", "celery_beat", CELERY, seconds=BEAT_SECONDS
            ),
            peer("django-q2, SQLite", "django_q2"),
            peer("django-q2, PostgreSQL", "django_q2", kind=POSTGRESQL),
            peer("procrastinate, PostgreSQL", "procrastinate", kind=POSTGRESQL),
        ),
        derive=_ratios,
    )


def _ratios(answers: Round) -> Round:
    derived: Round = {}
    for who in (INTERVAL, CRON):
        of_stock = ratio(answers, who, STOCK, "rate")
        of_floor = ratio(answers, who, FLOOR, "rate")
        derived[who] = {}
        if of_stock is not None:
            derived[who]["of_stock"] = of_stock
        if of_floor is not None:
            derived[who]["of_floor"] = 100 * of_floor
    return derived
