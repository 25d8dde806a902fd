"""All that stock passes has to pass on ours, but for differences that are really there."""

import pytest

from tests.upstream.verdict import Difference, Ends, judge

MEANT = Difference("no pickle", "Payloads are JSON.")


def test_what_passes_on_both_has_passed():
    verdict = judge({"a": None}, {"a": None}, {})
    assert (verdict.passed, verdict.problems) == (["a"], {})


def test_what_fails_on_both_is_no_problem_of_ours():
    verdict = judge({"a": "x"}, {"a": "y"}, {})
    assert (verdict.fail_on_stock_too, verdict.problems) == (["a"], {})


def test_what_passes_on_ours_only_has_passed():
    verdict = judge({"a": "x"}, {"a": None}, {})
    assert (verdict.passed, verdict.fail_on_stock_too, verdict.problems) == (["a"], [], {})


def test_a_difference_that_is_listed_is_deliberate_and_says_why():
    verdict = judge({"a": None}, {"a": "ValueError: no pickle"}, {"a": MEANT})
    assert (verdict.deliberate, verdict.problems) == ({"a": "Payloads are JSON."}, {})


def test_what_fails_on_ours_only_and_is_not_listed_is_a_problem_shown_with_its_failure():
    verdict = judge({"a": None, "b": None}, {"a": "assert 1 == 2", "b": None}, {})
    assert verdict.problems.keys() == {"a"}
    assert "assert 1 == 2" in verdict.problems["a"]


@pytest.mark.parametrize(
    ("stock", "ours", "problem"),
    [
        ({"a": None}, {"a": None}, "but passes"),
        ({"a": "no pickle"}, {"a": None}, "but passes"),
        ({"a": "no pickle"}, {"a": "no pickle"}, "fails on stock too"),
        ({"a": None}, {"a": "ImportError"}, "ImportError"),
        ({}, {}, "no such test"),
        ({"a": None}, {}, "did not run on ours"),
        ({}, {"a": "no pickle"}, "did not run on stock"),
    ],
)
def test_a_listed_difference_that_is_not_so_is_a_problem(stock: Ends, ours: Ends, problem: str):
    verdict = judge(stock, ours, {"a": MEANT})
    assert verdict.deliberate == {}
    assert problem in verdict.problems["a"]


@pytest.mark.parametrize(
    ("stock", "ours"), [({"a": None}, {}), ({"a": "x"}, {}), ({}, {"a": None})]
)
def test_what_did_not_run_on_both_is_a_problem(stock: Ends, ours: Ends):
    assert "did not run" in judge(stock, ours, {}).problems["a"]


def test_the_text_counts_and_names_what_did_not_pass():
    stock = {"good": None, "bad": "x", "meant": None, "broken": None}
    ours = {"good": None, "bad": "x", "meant": "no pickle", "broken": "y"}
    text = judge(stock, ours, {"meant": MEANT}).text
    assert text.splitlines() == [
        "1 passed",
        "1 fail on stock too",
        "    bad",
        "1 deliberate",
        "    meant — Payloads are JSON.",
        "1 not as it should be",
        "    broken — passes on stock, but not on ours:",
        "y",
    ]
