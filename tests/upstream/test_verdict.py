"""Each test that stock passes has to pass on ours, except for the listed differences."""

import pytest

from tests.upstream.verdict import Difference, Ends, judge

DELIBERATE = Difference("no pickle", "Payloads are JSON.")


def test_an_upstream_test_that_passes_on_both_classes_has_passed():
    verdict = judge({"a": None}, {"a": None}, {})
    assert (verdict.passed, verdict.problems) == (["a"], {})


def test_an_upstream_test_that_fails_on_both_classes_is_not_a_problem():
    verdict = judge({"a": "x"}, {"a": "y"}, {})
    assert (verdict.fail_on_stock_too, verdict.problems) == (["a"], {})


def test_an_upstream_test_that_passes_only_on_ours_has_passed():
    verdict = judge({"a": "x"}, {"a": None}, {})
    assert (verdict.passed, verdict.fail_on_stock_too, verdict.problems) == (["a"], [], {})


def test_a_listed_difference_from_upstream_is_deliberate_and_says_why():
    verdict = judge({"a": None}, {"a": "ValueError: no pickle"}, {"a": DELIBERATE})
    assert (verdict.deliberate, verdict.problems) == ({"a": "Payloads are JSON."}, {})


def test_an_upstream_test_that_fails_only_on_ours_is_a_problem_shown_with_its_failure():
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
def test_a_listed_difference_from_upstream_that_does_not_exist_is_a_problem(
    stock: Ends, ours: Ends, problem: str
):
    verdict = judge(stock, ours, {"a": DELIBERATE})
    assert verdict.deliberate == {}
    assert problem in verdict.problems["a"]


@pytest.mark.parametrize(
    ("stock", "ours"), [({"a": None}, {}), ({"a": "x"}, {}), ({}, {"a": None})]
)
def test_an_upstream_test_that_did_not_run_on_both_classes_is_a_problem(stock: Ends, ours: Ends):
    assert "did not run" in judge(stock, ours, {}).problems["a"]


def test_the_text_of_a_verdict_counts_and_names_the_tests_that_did_not_pass():
    stock = {"good": None, "bad": "x", "meant": None, "broken": None}
    ours = {"good": None, "bad": "x", "meant": "no pickle", "broken": "y"}
    text = judge(stock, ours, {"meant": DELIBERATE}).text
    assert text.splitlines() == [
        "1 passed",
        "1 fail on stock too",
        "    bad",
        "1 deliberate",
        "    meant — Payloads are JSON.",
        "1 problem(s)",
        "    broken — passes on stock, but not on ours:",
        "y",
    ]
