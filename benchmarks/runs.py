"""Runs: how many no-ops a second two workers run and record, with a row at start and end."""

import json

from benchmarks.figures import Figure, Round, Values, at_least
from benchmarks.questions import Case, Question
from benchmarks.scale import Scale
from benchmarks.site import ARQ, CELERY, OURS, PEERS, POSTGRESQL, SQLITE, Environment, Site
from benchmarks.workers import Workers

# After this time, the rate is that of the runs so far: nobody waits for slow peers.
SECONDS = 12
KEYS = {SQLITE: "sqlite", POSTGRESQL: "postgresql"}
PLAIN, COROUTINES = "**this project**", "**this project**, coroutines"
# How many coroutines each worker process runs at a time, ours and others'.
AT_A_TIME = 50

OUR_WORKER = ("manage.py", "rqworker", "default")
OUR_COROUTINES = (*OUR_WORKER, "--concurrency", f"{AT_A_TIME}")
OUR_FINISHED = "SELECT count(*) FROM tasks_scheduledtaskinstance WHERE status = 'finished'"
PEERS_FINISHED = "SELECT count(*) FROM peers_run WHERE status = 'finished'"
DONE_BY_CELERY = "SELECT count(*) FROM django_celery_results_taskresult WHERE status = 'SUCCESS'"
DONE_BY_PROCRASTINATE = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"


def _peer(
    enqueue: str,
    commands: tuple[tuple[str, ...], ...],
    finished: str = PEERS_FINISHED,
    environment: Environment = PEERS,
) -> Workers:
    return Workers(environment, f"benchmarks.peers.enqueue:{enqueue}", commands, finished)


RQ_WORKER = ("-m", "django", "rqworker", "default")
SIMPLE_WORKER = (*RQ_WORKER, "--worker-class", "rq.worker.SimpleWorker")
HUEY = "-m huey.bin.huey_consumer benchmarks.peers.huey_app.app -q"
HUEY_PROCESSES, HUEY_THREAD = f"{HUEY} -w 2 -k process", f"{HUEY} -w 1 -k thread"
DRAMATIQ = "-m django rundramatiq --processes 2 --threads 4"
CELERY_WORKER = "-m celery -A benchmarks.peers.celery_app worker -P prefork -c 2 -l ERROR"
PROCRASTINATE = (
    "-m procrastinate --app benchmarks.peers.procrastinate_app.app worker"
    f" --concurrency {AT_A_TIME}"
)
ARQ_WORKER = (
    *("-m", "benchmarks.call", "benchmarks.peers.arq_app:work"),
    json.dumps({"at_a_time": AT_A_TIME}),
)
# The peers whose functions are coroutines.
PROCRASTINATE_NAME, ARQ_NAME = (
    f"procrastinate, {AT_A_TIME} at a time",
    f"arq, {AT_A_TIME} at a time",
)

# Who, how many runs, on which databases, by which workers.
ALL: tuple[tuple[str, int, tuple[str, ...], Workers], ...] = (
    (
        PLAIN,
        4000,
        (SQLITE, POSTGRESQL),
        Workers(
            OURS, "benchmarks.ours.schedules:all_due_now", (OUR_WORKER, OUR_WORKER), OUR_FINISHED
        ),
    ),
    (
        COROUTINES,
        8000,
        (SQLITE, POSTGRESQL),
        Workers(
            OURS,
            "benchmarks.ours.schedules:all_due_now_coroutines",
            (OUR_COROUTINES, OUR_COROUTINES),
            OUR_FINISHED,
        ),
    ),
    ("rqworker", 400, (SQLITE, POSTGRESQL), _peer("rq", (RQ_WORKER, RQ_WORKER))),
    ("rq SimpleWorker", 1500, (SQLITE, POSTGRESQL), _peer("rq", (SIMPLE_WORKER, SIMPLE_WORKER))),
    (
        "celery prefork, django-celery-results",
        1500,
        (SQLITE, POSTGRESQL),
        _peer("celery", (tuple(CELERY_WORKER.split()),), DONE_BY_CELERY, CELERY),
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
        PROCRASTINATE_NAME,
        2000,
        (POSTGRESQL,),
        _peer(
            "procrastinate",
            (tuple(PROCRASTINATE.split()), tuple(PROCRASTINATE.split())),
            DONE_BY_PROCRASTINATE,
        ),
    ),
    (
        ARQ_NAME,
        2000,
        (SQLITE, POSTGRESQL),
        _peer("arq", (ARQ_WORKER, ARQ_WORKER), environment=ARQ),
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
        _peer("huey", (tuple(HUEY_PROCESSES.split()),)),
    ),
    (
        "huey, 2 consumers of a thread",
        3000,
        (SQLITE, POSTGRESQL),
        _peer("huey", (tuple(HUEY_THREAD.split()), tuple(HUEY_THREAD.split()))),
    ),
)


def question(scale: Scale) -> Question:
    """Return the question for everybody, on both databases."""
    rates = {SQLITE: 1300, POSTGRESQL: 900}
    return Question(
        "runs",
        tuple(figure for kind, rate in rates.items() for figure in _figures(kind, rate)),
        tuple(
            _case(who, number // scale.fewer_runs, kinds, workers)
            for who, number, kinds, workers in ALL
        ),
        repetitions=5,
        derive=_ahead,
    )


def _figures(kind: str, rate: float) -> tuple[Figure, ...]:
    key, fastest = KEYS[kind], "times the fastest peer's"
    return (
        Figure(key, f"runs per second, 2 workers, {kind}", at_least(rate)),
        Figure(f"{key}_ahead", f"runs, {fastest}, {kind}", at_least(1.3, none_below=1.1)),
        Figure(f"{key}_coroutines_ahead", f"coroutines, {fastest}, {kind}", at_least(1.5)),
        Figure(
            f"{key}_among_coroutines",
            f"coroutines, {fastest} that runs coroutines, {kind}",
            at_least(3),
        ),
    )


def _case(who: str, number: int, kinds: tuple[str, ...], workers: Workers) -> Case:
    def measure(site: Site) -> Values:
        values: Values = {}
        for kind in kinds:
            site.clear()
            values[KEYS[kind]] = workers.rate(site, kind, number, SECONDS)
        return values

    return Case(who, measure, ours=workers.environment is OURS)


def _ahead(answers: Round) -> Round:
    """Return how many times the rates of the fastest peers ours are."""
    derived: Round = {PLAIN: {}, COROUTINES: {}}
    for key in KEYS.values():
        peers = {who: values[key] for who, values in answers.items() if key in values}
        plain, coroutines = peers.pop(PLAIN, None), peers.pop(COROUTINES, None)
        alike = [peers[who] for who in (PROCRASTINATE_NAME, ARQ_NAME) if who in peers]
        if plain and peers:
            derived[PLAIN][f"{key}_ahead"] = plain / max(peers.values())
        if coroutines and peers:
            derived[COROUTINES][f"{key}_coroutines_ahead"] = coroutines / max(peers.values())
        if coroutines and alike:
            derived[COROUTINES][f"{key}_among_coroutines"] = coroutines / max(alike)
    return derived
