"""The table of the benchmarks, its figures and goals."""

from benchmarks.answers import Answers, table
from benchmarks.figures import Figure, Round, Values, at_least, at_most, number, percentile, ratio
from benchmarks.questions import Case, Question
from benchmarks.site import Site

OURS, PEER = "ours", "peer"


def _nothing(site: Site) -> Values:
    return {}


def _answers(*rounds: Round) -> Answers:
    question = Question(
        "speed",
        (
            Figure("rate", "runs per second", at_least(100)),
            Figure("ahead", "times the peer's", at_least(2)),
        ),
        (Case(OURS, _nothing, ours=True), Case(PEER, _nothing)),
        derive=lambda answers: {
            OURS: {"ahead": times}
            if (times := ratio(answers, OURS, PEER, "rate")) is not None
            else {}
        },
    )
    return Answers(question, list(rounds))


def test_a_row_of_the_benchmarks_has_the_median_and_the_spread():
    answers = _answers({OURS: {"rate": 110}}, {OURS: {"rate": 300}}, {OURS: {"rate": 120}})

    assert list(answers.rows()) == [
        ("runs per second", OURS, "120", "110 – 300", "≥ 100", "yes"),
    ]


def test_a_row_of_the_benchmarks_shows_a_goal_that_is_not_reached():
    (row,) = _answers({OURS: {"rate": 99.0}}).rows()

    assert row[-1] == "**no**"


def test_a_peer_in_the_benchmarks_has_no_goal():
    (row,) = _answers({PEER: {"rate": 500}}).rows()

    assert row == ("runs per second", PEER, "500", "", "", "")


def test_a_ratio_of_benchmarks_is_taken_within_a_repetition():
    rows = list(
        _answers(
            {OURS: {"rate": 200}, PEER: {"rate": 100}}, {OURS: {"rate": 800}, PEER: {"rate": 200}}
        ).rows()
    )

    assert rows[-1] == ("times the peer's", OURS, "3", "2 – 4", "≥ 2", "yes")


def test_a_benchmark_that_failed_is_a_row_with_its_reason():
    answers = _answers({OURS: {"rate": 200}})
    answers.failures[PEER] = "ImportError: no | such module"

    assert table([answers]).splitlines()[-1] == (
        "| speed | peer | failed: ImportError: no / such module |  |  |  |"
    )


def test_the_goal_of_a_figure_is_reached_at_its_limit():
    assert at_most(3).reached(3)
    assert not at_most(3).reached(3.1)
    assert at_least(3).reached(3)
    assert not at_least(3).reached(2.9)


def test_a_goal_that_also_bounds_each_repetition_is_missed_by_one_below():
    goal = at_least(1.3, none_below=1.1)

    assert goal.reached(1.1, 1.3, 1.4)
    assert not goal.reached(1.0, 1.3, 1.4)
    assert not goal.reached(1.1, 1.2, 1.4)
    assert str(goal) == "≥ 1.30, none below 1.10"


def test_numbers_of_the_benchmarks_have_three_significant_digits():
    assert [number(value) for value in (43_210.9, 12.34, 1.234, 3)] == [
        "43,211",
        "12.3",
        "1.23",
        "3",
    ]


def test_a_percentile_is_one_of_the_values():
    assert percentile([5, 1, 4, 2, 3], 50) == 3
    assert percentile([5, 1, 4, 2, 3], 99) == 5
