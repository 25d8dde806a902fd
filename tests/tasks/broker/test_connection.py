"""The connection to Redis."""

import pytest

from tasks.broker.connection import connect

pytestmark = pytest.mark.django_db


def test_a_process_has_one_connection():
    assert connect() is connect()
