"""`manage.py ledger` comes to the same result as the proof's own checks."""

import signal

from tests.acceptance.proof.checks import check
from tests.acceptance.proof.system import Schedule, System, next_second
from tests.servers import wait_for


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
    scheduler.send(signal.SIGTERM)
    scheduler.wait()
    system.execute(
        "DELETE FROM tasks_scheduledtaskinstance WHERE id = "
        "(SELECT min(id) FROM tasks_scheduledtaskinstance)"
    )
    wait_for(lambda: system.command("ledger").wait() == 1, "the ledger to name it", 60)
