"""Pages: how long the pages of the admin take with very many schedules and runs."""

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.figures import Figure, Round, Values, at_most, number
from benchmarks.questions import Case, Question
from benchmarks.scale import Scale
from benchmarks.site import OURS, POSTGRESQL, SQLITE, Site

MODULE = "benchmarks.ours"
REPETITIONS = 7
POLL_SECONDS = 30
TIMEOUT_SECONDS = 1_800
# What is shown of each page, in this order.
COLUMNS = ("median", "longest", "queries", "Redis")
# Its script asks for it once a minute at most, after the page is there.
PLAYED = "what-if, the coming days"


def question(scale: Scale) -> Question:
    """Return the question for both databases."""
    schedules = scale.pages[0]
    return Question(
        "pages",
        (
            Figure("median", f"{schedules:,} schedules: slowest page, median ms", at_most(100)),
            Figure("longest", "slowest answer of any page, ms", at_most(200)),
            Figure("queries", "most queries of a page"),
            Figure("Redis", "most round trips to Redis of a page"),
            Figure("played", "the coming days played for the what-if page, ms"),
            Figure("requests", "10 open tabs: requests a second"),
            Figure("busy", "10 open tabs: one process is busy, % of the time", at_most(100)),
            Figure("polled", "10 open tabs: an answer, median ms", at_most(100)),
            Figure("polled longest", "10 open tabs: slowest answer, ms", at_most(200)),
            Figure("summaries", "first summaries of all runs, s"),
        ),
        tuple(
            _case(kind, schedules, runs)
            for kind, runs in zip((POSTGRESQL, SQLITE), scale.pages[1:], strict=True)
        ),
        repetitions=1,
        details=details,
    )


def _case(kind: str, schedules: int, runs: int) -> Case:
    def measure(site: Site) -> Values:
        with site.database(OURS, kind) as database:

            def call(target: str, **arguments: float) -> dict[str, Any]:
                return site.call(
                    OURS, database, f"{MODULE}.{target}", timeout=TIMEOUT_SECONDS, **arguments
                )

            took = call("ledger:make", schedules=schedules, runs=runs)
            pages = call("pages:measure", repetitions=REPETITIONS)
            polled = call("pages:poll", seconds=POLL_SECONDS)
        values = {
            _key(page, column): value
            for page, found in pages.items()
            for column, value in zip(COLUMNS, found, strict=True)
        }
        played, *_others = pages.pop(PLAYED)
        columns = zip(COLUMNS, zip(*pages.values(), strict=True), strict=True)
        most = {column: max(found) for column, found in columns}
        return values | most | polled | {"played": played, "summaries": took["summaries"]}

    # Only PostgreSQL has goals.
    return Case(f"**this project**, {kind}, {runs:,} runs", measure, ours=kind == POSTGRESQL)


def _key(page: str, column: str) -> str:
    return f"{page}: {column}"


def details(rounds: Sequence[Round]) -> str:
    """Return the table of all pages, in Markdown: the medians of the repetitions."""
    cases = list(dict.fromkeys(who for answers in rounds for who in answers))
    shown = [who.removeprefix("**this project**, ") for who in cases]
    lines = [["page", *(f"{who}: {column}" for who in shown for column in COLUMNS)]]
    lines.append(["---", *["---:"] * (len(lines[0]) - 1)])
    keys = (key for answers in rounds for values in answers.values() for key in values)
    for page in dict.fromkeys(page for key in keys if (page := key.rpartition(": ")[0])):
        cells = [_cell(rounds, who, _key(page, column)) for who in cases for column in COLUMNS]
        lines.append([page, *cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(rounds: Sequence[Round], who: str, key: str) -> str:
    found = [answers[who][key] for answers in rounds if key in answers.get(who, {})]
    return number(statistics.median(found)) if found else ""
