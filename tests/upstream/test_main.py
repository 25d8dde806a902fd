"""The command says what is wrong in a line before it starts anything."""

from pathlib import Path

import pytest

from tests.upstream.__main__ import main


def test_without_a_checkout_it_says_how_to_give_one(capsys: pytest.CaptureFixture[str]):
    assert main("") == 2
    assert capsys.readouterr().out == (
        "Say where rq-scheduler is: make rq-scheduler-suite CHECKOUT=/path/to/rq-scheduler\n"
    )


def test_what_is_no_checkout_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(str(tmp_path)) == 2
    assert capsys.readouterr().out == (
        f"{tmp_path} is no checkout of rq-scheduler: no tests/test_scheduler.py.\n"
    )
