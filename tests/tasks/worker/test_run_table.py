"""The table that a coroutine child shares with its worker."""

import os
import time

import pytest

from tasks.worker.run_table import Phase, Room, RunTable
from tasks.worker.shared_state import Run


def run(number: int) -> Run:
    return Run(f"job{number}", f"e{number}", "default", 60, 1.0, 2.0)


@pytest.fixture
def table() -> RunTable:
    return RunTable(3)


def test_each_run_has_its_own_phase(table: RunTable):
    runs = [run(number) for number in range(3)]
    table.take(runs)
    table.start(runs[1])
    table.start(runs[2])
    table.finish(runs[2])
    phases = dict(zip(runs, [Phase.STARTING, Phase.RUNNING, Phase.ENDED], strict=True))
    assert table.runs() == phases


def test_the_slot_of_a_run_that_has_ended_is_used_again(table: RunTable):
    for number in range(10):
        table.take([run(number)])
        assert table.runs() == {run(number): Phase.STARTING}
        table.clear(run(number))
    assert table.runs() == {}


def test_a_step_is_announced_until_what_it_took_is_recorded(table: RunTable):
    table.announce_step("s1")
    assert table.announced_step == "s1"
    table.take([run(1)])
    assert table.announced_step == ""


def test_what_a_child_writes_its_worker_reads_also_after_it_has_died(table: RunTable):
    assert table.runs() == {}
    pid = os.fork()
    if pid == 0:
        table.take([run(1), run(2)])
        table.start(run(2))
        table.blame(run(2), "tests.block")
        os._exit(0)
    os.waitpid(pid, 0)
    assert table.runs() == {run(1): Phase.STARTING, run(2): Phase.RUNNING}
    assert table.culprit == ("e2", "tests.block")
    assert table.taken == 2


def test_a_child_has_room_for_what_older_ones_leave():
    older = [RunTable(3), RunTable(3)]
    older[0].take([run(1), run(2)])
    older[1].take([run(3)])
    room = Room(4, older)
    assert (room.size, room.may_grow) == (1, True)
    older[1].clear(run(3))
    assert room.size == 2
    older[0].vacate()
    assert (room.size, room.may_grow) == (4, False)


def test_a_child_says_when_its_loop_last_came_round(table: RunTable):
    before = time.monotonic()
    table.beat()
    assert before <= table.last_beat <= time.monotonic()


def test_a_run_whose_names_are_too_long_for_a_slot_is_refused(table: RunTable):
    with pytest.raises(ValueError, match="are long"):
        table.take([Run("job", "e", "q" * 3000, 60, 1.0, 2.0)])
