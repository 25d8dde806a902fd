"""SQLite, which lets only one process write at a time."""

import pytest

from tests.acceptance.proof.checks import check
from tests.acceptance.proof.system import Schedule, System, next_second
from tests.servers import wait_for


@pytest.mark.case(16)
def test_eight_workers_share_a_sqlite_database_without_losing_a_run(sqlite_system: System):
    system = sqlite_system
    first = next_second(3)
    options = {"overlap": "allow"}
    system.make(*(Schedule(f"s{n}", first, interval=4, options=options) for n in range(16)))
    system.scheduler()
    for _ in range(8):
        system.worker()
    wait_for(lambda: len(system.lines()) >= 2 * 16 * 4, "four rounds of runs", 60)
    check(system)
    assert not system.printed("database is locked")
