"""Writes are tried again while the database is unavailable."""

from typing import Any

import pytest
from django.db import DataError, OperationalError

from tasks.database import patiently


@pytest.mark.django_db(transaction=True)
def test_a_write_is_tried_again_while_the_database_is_away():
    answers: list[Any] = [OperationalError(), OperationalError(), "written"]

    def write() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert patiently(write) == "written"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("error", "patience"), [(OperationalError, 0.0), (DataError, 60.0)])
def test_patience_ends(error: type[Exception], patience: float):
    def write() -> None:
        raise error

    with pytest.raises(error):
        patiently(write, patience)
