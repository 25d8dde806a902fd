"""`manage.py ledger` agrees with the proof's own checks."""

import signal

from tests.acceptance.proof.checks import check
from tests.acceptance.proof.system import Schedule, System, next_second
from tests.servers import wait_for

# A row of a schedule that is settled through its due.
SETTLED = """
    SELECT run.id, run.due FROM tasks_scheduledtaskinstance run
    JOIN tasks_scheduledtask schedule ON schedule.id = run.parent_id
    WHERE run.due <= schedule.settled_through ORDER BY run.id LIMIT 1
"""


def test_the_ledger_closes_after_a_crash_and_names_a_due_whose_row_was_deleted(system: System):
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
    [(row, due)] = wait_for(lambda: system.query(SETTLED), "a schedule settled through a row", 30)
    scheduler.send(signal.SIGTERM)
    scheduler.wait()
    assert system.command("ledger").wait() == 0  # What is due now waits for a scheduler.
    system.execute(f"DELETE FROM tasks_scheduledtaskinstance WHERE id = {row}")
    ledger = system.command("ledger")
    assert ledger.wait() == 1
    assert ledger.printed(due.isoformat(sep=" ", timespec="milliseconds"))
    assert ledger.printed("missing: ")
    assert ledger.printed("The ledger doesn't close: 1 missing.")
