"""Runs: how many no-ops a second two workers run and record, with a row at start and end."""

from benchmarks.figures import Figure, Round, Values, at_least, more_than
from benchmarks.questions import Case, Question
from benchmarks.scale import Scale
from benchmarks.site import CELERY, OURS, PEERS, POSTGRESQL, SQLITE, Environment, Site
from benchmarks.workers import Workers

# After this time, the rate is that of the runs so far: nobody waits for slow peers.
SECONDS = 12
KEYS = {SQLITE: "sqlite", POSTGRESQL: "postgresql"}
OUR_NAME = "**this project**"

OUR_WORKER = ("manage.py", "rqworker", "default")
OUR_FINISHED = "SELECT count(*) FROM tasks_scheduledtaskinstance WHERE status = 'finished'"
PEERS_FINISHED = "SELECT count(*) FROM peers_run WHERE status = 'finished'"


def _peer(
    enqueue: str,
    commands: tuple[tuple[str, ...], ...],
    finished: str = PEERS_FINISHED,
    environment: Environment = PEERS,
) -> Workers:
    return Workers(environment, f"benchmarks.peers.enqueue:{enqueue}", commands, finished)


RQ_WORKER = ("-m", "django", "rqworker", "default")
SIMPLE_WORKER = (*RQ_WORKER, "--worker-class", "rq.worker.SimpleWorker")
HUEY = "-m huey.bin.huey_consumer benchmarks.peers.huey_app.app -w 2 -k process -q"
DRAMATIQ = "-m django rundramatiq --processes 2 --threads 1"
CELERY_WORKER = "-m celery -A benchmarks.peers.celery_app worker -P prefork -c 2 -l ERROR"
PROCRASTINATE = (
    "-m procrastinate --app benchmarks.peers.procrastinate_app.app worker --concurrency 1"
)

# Who, how many runs, on which databases, by which workers.
ALL: tuple[tuple[str, int, tuple[str, ...], Workers], ...] = (
    (
        OUR_NAME,
        4000,
        (SQLITE, POSTGRESQL),
        Workers(
            OURS, "benchmarks.ours.schedules:all_due_now", (OUR_WORKER, OUR_WORKER), OUR_FINISHED
        ),
    ),
    ("rqworker", 400, (SQLITE, POSTGRESQL), _peer("rq", (RQ_WORKER, RQ_WORKER))),
    ("rq SimpleWorker", 1500, (SQLITE, POSTGRESQL), _peer("rq", (SIMPLE_WORKER, SIMPLE_WORKER))),
    (
        "celery prefork, django-celery-results",
        1500,
        (SQLITE, POSTGRESQL),
        _peer(
            "celery",
            (tuple(CELERY_WORKER.split()),),
            "SELECT count(*) FROM django_celery_results_taskresult WHERE status = 'SUCCESS'",
            CELERY,
        ),
    ),
    (
        "dramatiq, django-dramatiq",
        1500,
        (SQLITE, POSTGRESQL),
        _peer(
            "dramatiq",
            (tuple(DRAMATIQ.split()),),
            "SELECT count(*) FROM django_dramatiq_task WHERE status = 'done'",
        ),
    ),
    (
        "procrastinate",
        2000,
        (POSTGRESQL,),
        _peer(
            "procrastinate",
            (tuple(PROCRASTINATE.split()), tuple(PROCRASTINATE.split())),
            "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'",
        ),
    ),
    (
        "django-q2",
        3000,
        (SQLITE, POSTGRESQL),
        _peer("django_q2", (("-m", "django", "qcluster"),), "SELECT count(*) FROM django_q_task"),
    ),
    (
        "huey, processes",
        3000,
        (SQLITE, POSTGRESQL),
        _peer("huey", (tuple(HUEY.split()),)),
    ),
)


def question(scale: Scale) -> Question:
    """Return the question for everybody, on both databases."""
    return Question(
        "runs",
        (
            Figure("sqlite", "runs per second, 2 workers, SQLite", at_least(1300)),
            Figure("sqlite_ahead", "runs, times the fastest peer's, SQLite", more_than(1)),
            Figure("postgresql", "runs per second, 2 workers, PostgreSQL", at_least(900)),
            Figure("postgresql_ahead", "runs, times the fastest peer's, PostgreSQL", more_than(1)),
        ),
        tuple(
            _case(who, number // scale.fewer_runs, kinds, workers)
            for who, number, kinds, workers in ALL
        ),
        derive=_ahead,
    )


def _case(who: str, number: int, kinds: tuple[str, ...], workers: Workers) -> Case:
    def measure(site: Site) -> Values:
        values: Values = {}
        for kind in kinds:
            site.clear()
            values[KEYS[kind]] = workers.rate(site, kind, number, SECONDS)
        return values

    return Case(who, measure, ours=who == OUR_NAME)


def _ahead(answers: Round) -> Round:
    ours: Values = {}
    for key in KEYS.values():
        rates = {who: values[key] for who, values in answers.items() if key in values}
        own = rates.pop(OUR_NAME, None)
        if own is not None and rates:
            ours[f"{key}_ahead"] = own / max(rates.values())
    return {OUR_NAME: ours}
