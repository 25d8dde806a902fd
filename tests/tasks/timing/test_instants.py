"""Instants in whole milliseconds."""

import pytest

from tasks.timing.instants import from_score, to_score
from tests.tasks.schedules import ago

pytestmark = pytest.mark.django_db


def test_scores_and_moments_agree_to_the_millisecond():
    moment = ago(0).replace(microsecond=1_000)
    assert from_score(to_score(moment)) == moment
