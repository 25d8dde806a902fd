import fcntl
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tasks.runs import turns
from tasks.runs.turns import Turn
from tests.tasks.functions import in_threads


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[str]]:
    """Return the lock's file, locked as by a frozen process."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.1)
    with open(tmp_path / "turn", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def in_main_thread(call: Callable[[], Any]) -> Any:
    return call()


def in_another_thread(call: Callable[[], Any]) -> Any:
    [result] = in_threads(call)
    return result


in_each_thread = pytest.mark.parametrize("call_in", [in_main_thread, in_another_thread])


def take(turn: Turn) -> str:
    with turn:
        return "written"


@in_each_thread
def test_whoever_has_waited_for_a_frozen_holder_goes_on_without_the_lock(
    frozen: IO[str], call_in: Callable[..., Any], caplog: pytest.LogCaptureFixture
):
    turn = Turn(frozen.name)
    assert [call_in(lambda: take(turn)) for _ in range(2)] == ["written"] * 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{frozen.name} has not written for" in caplog.text


@in_each_thread
def test_turns_are_taken_again_once_the_lock_is_free(
    frozen: IO[str], call_in: Callable[..., Any], caplog: pytest.LogCaptureFixture
):
    turn = Turn(frozen.name)
    call_in(lambda: take(turn))
    fcntl.flock(frozen, fcntl.LOCK_UN)
    call_in(lambda: take(turn))
    fcntl.flock(frozen, fcntl.LOCK_EX)
    call_in(lambda: take(turn))
    assert len(caplog.records) == 2, "it waited for its turn again, and said so"


@in_each_thread
def test_a_turn_begins_when_the_holder_before_ends_its_own(
    frozen: IO[str], call_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(turns, "TURN_SECONDS", 60)
    turn = Turn(frozen.name)
    threading.Timer(0.05, fcntl.flock, (frozen, fcntl.LOCK_UN)).start()

    def is_held() -> bool:
        with turn, pytest.raises(BlockingIOError):
            fcntl.flock(frozen, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True

    assert call_in(is_held) is True


@pytest.mark.parametrize("seconds", [0.05, 0.3], ids=["during the wait", "after it"])
def test_an_alarm_that_was_set_goes_off_after_the_wait(frozen: IO[str], seconds: float):
    gone_off = threading.Event()
    handler = signal.signal(signal.SIGALRM, lambda *_: gone_off.set())
    signal.setitimer(signal.ITIMER_REAL, seconds)
    began = time.monotonic()
    try:
        assert take(Turn(frozen.name)) == "written"
        assert gone_off.wait(10)
        assert time.monotonic() - began >= seconds
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_without_an_alarm_none_is_left_behind(frozen: IO[str]):
    before = signal.getsignal(signal.SIGALRM)
    take(Turn(frozen.name))
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before
