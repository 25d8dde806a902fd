"""`manage.py ledger` comes to the same result as the proof's own checks."""

import signal

from tests.acceptance.proof.checks import check
from tests.acceptance.proof.system import Schedule, System, next_second
from tests.servers import wait_for

# A row over which the books are closed.
ACCOUNTED = """
    SELECT run.id FROM tasks_scheduledtaskinstance run
    JOIN tasks_scheduledtask schedule ON schedule.id = run.parent_id
    WHERE run.due <= schedule.settled_through ORDER BY run.id LIMIT 1
"""


def test_the_ledger_closes_after_a_crash_and_names_a_row_that_is_gone(system: System):
    first = next_second()
    system.make(
        Schedule("plain", first, interval=2),
        Schedule("retried", first, interval=2, options={"retries": 1}),
    )
    scheduler = system.scheduler()
    worker = system.worker(point="child:function:start#1")
    wait_for(worker.done.exists, "the end of a run")
    system.worker()
    check(system)
    assert system.command("ledger").wait() == 0
    wait_for(lambda: system.query(ACCOUNTED), "books that are closed over a row", 30)
    scheduler.send(signal.SIGTERM)
    scheduler.wait()
    assert system.command("ledger").wait() == 0  # What is due now waits for a scheduler.
    system.execute(f"DELETE FROM tasks_scheduledtaskinstance WHERE id IN ({ACCOUNTED})")
    ledger = system.command("ledger")
    assert ledger.wait() == 1
    assert ledger.printed("missing: ")
    assert ledger.printed("The ledger doesn't close: 1 missing.")
