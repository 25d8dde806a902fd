"""Prints how rq-scheduler's own tests end on our class; exits with 0 if there are no problems.

python -m tests.upstream CHECKOUT
"""

import sys
from importlib.metadata import version
from pathlib import Path

from tests.upstream.differences import SITE
from tests.upstream.suite import SuiteNotRun, compare


def main(checkout: str) -> int:
    """Compare, print the summary and return the exit code."""
    if not checkout:
        print("Say where rq-scheduler is: make rq-scheduler-suite CHECKOUT=/path/to/rq-scheduler")
        return 2
    try:
        verdict = compare(Path(checkout).expanduser())
    except SuiteNotRun as error:
        print(error)
        return 2
    print(f"Stock is rq-scheduler {version('rq-scheduler')} with RQ {version('rq')}. {SITE}")
    print(verdict.text)
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or [""]))
