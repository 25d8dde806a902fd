"""The questions of the benchmarks, and what they derive from answers."""

from itertools import chain

import pytest

from benchmarks import feeds
from benchmarks.__main__ import QUESTIONS
from benchmarks.figures import Round
from benchmarks.idle import Commands
from benchmarks.questions import Question
from benchmarks.runs import ARQ_NAME, COROUTINES, PLAIN, PROCRASTINATE_NAME, question
from benchmarks.scale import FULL, QUICK

ALL = [module.question(scale) for module in QUESTIONS for scale in (FULL, QUICK)]
HUEY = "huey, processes"
RUNS, FEEDS = question(QUICK), feeds.question(QUICK)
SQLITE, POSTGRESQL = (case.who for case in FEEDS.cases if case.ours)
FEW, MORE, _MANY = (case.who for case in FEEDS.cases if not case.ours)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_no_two_cases_or_figures_of_a_question_overwrite_each_other(one: Question):
    cases, keys = [case.who for case in one.cases], [figure.key for figure in one.figures]

    assert len(set(cases)) == len(cases)
    assert len(set(keys)) == len(keys)


def derived(answers: Round, one: Question = RUNS) -> Round:
    found = one.derive(answers)
    assert set(answers) <= {case.who for case in one.cases}
    assert set(chain(*found.values())) <= {figure.key for figure in one.figures}
    return found


def test_runs_are_compared_with_the_fastest_peer_of_each_database():
    found = derived(
        {
            PLAIN: {"sqlite": 300, "postgresql": 130},
            COROUTINES: {"sqlite": 600, "postgresql": 260},
            HUEY: {"sqlite": 200, "postgresql": 100},
            PROCRASTINATE_NAME: {"postgresql": 65},
            ARQ_NAME: {"sqlite": 100, "postgresql": 50},
        }
    )

    assert found[PLAIN] == {"sqlite_ahead": 1.5, "postgresql_ahead": 1.3}
    assert found[COROUTINES] == {
        "sqlite_coroutines_ahead": 3,
        "sqlite_among_coroutines": 6,
        "postgresql_coroutines_ahead": 2.6,
        "postgresql_among_coroutines": 4,
    }


def test_a_case_of_the_runs_that_failed_is_not_compared():
    found = derived({COROUTINES: {"sqlite": 600}, HUEY: {"sqlite": 200}})

    assert found == {PLAIN: {}, COROUTINES: {"sqlite_coroutines_ahead": 3}}


def test_what_idle_workers_send_anyway_does_not_count_for_a_run():
    idle, busy = Commands(sent=100, by_scripts=300), Commands(sent=340, by_scripts=1_300)

    assert busy.per_run(idle, 20) == Commands(sent=12, by_scripts=50)


def test_polls_are_compared_with_the_best_that_the_reader_has_with_any_number_of_workers():
    found = derived(
        {
            SQLITE: {"unchanged": 300, "new": 90},
            POSTGRESQL: {"unchanged": 200},
            FEW: {"unchanged": 80, "new": 45},
            MORE: {"unchanged": 100, "new": 40},
        },
        FEEDS,
    )

    assert found == {
        SQLITE: {"unchanged_ahead": 3, "new_ahead": 2},
        POSTGRESQL: {"unchanged_ahead": 2},
    }


def test_polls_are_compared_with_nothing_if_the_reader_failed():
    assert derived({SQLITE: {"unchanged": 300}}, FEEDS) == {}
