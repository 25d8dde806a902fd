"""Conditions on very many ids."""

from typing import Any

import pytest

from tasks.models import ScheduledTask
from tasks.reports.any_of import AnyOf
from tests.tasks.schedules import make_row

pytestmark = pytest.mark.django_db


def test_rows_that_have_any_of_the_ids_are_found_whatever_these_are(django_assert_num_queries: Any):
    first, second, _other = make_row(), make_row(), make_row()
    ids = {first.job_id, second.job_id, "', '", "nobody's"}
    with django_assert_num_queries(1):
        found = set(ScheduledTask.objects.filter(AnyOf("job_id", ids)))
    assert found == {first, second}


def test_no_ids_find_nothing_without_asking(django_assert_num_queries: Any):
    make_row()
    with django_assert_num_queries(0):
        assert not list(ScheduledTask.objects.filter(AnyOf("job_id")))
