"""The command prints what is wrong before it starts anything."""

from pathlib import Path

import pytest

from tests.upstream.__main__ import main


def test_the_comparison_with_rq_scheduler_says_how_to_name_a_checkout(
    capsys: pytest.CaptureFixture[str],
):
    assert main("") == 2
    assert capsys.readouterr().out == (
        "Say where rq-scheduler is: make rq-scheduler-suite CHECKOUT=/path/to/rq-scheduler\n"
    )


def test_the_comparison_with_rq_scheduler_names_a_directory_that_is_not_a_checkout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(str(tmp_path)) == 2
    assert capsys.readouterr().out == (
        f"{tmp_path} is not a checkout of rq-scheduler: no tests/test_scheduler.py.\n"
    )
