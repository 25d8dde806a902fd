"""The alarm: it wakes a thread that sleeps, or that falls asleep after it rang."""

import os
import signal
import threading

import pytest

from tasks.scheduler.wakeup import Alarm

LONG = 600


def test_the_alarm_wakes_a_sleeping_thread():
    alarm = Alarm()
    sleeper = threading.Thread(target=alarm.sleep, args=(LONG,), daemon=True)
    sleeper.start()
    alarm.ring()
    sleeper.join(30)
    assert not sleeper.is_alive()


def test_an_earlier_ring_of_the_alarm_wakes_the_next_sleeper_once():
    alarm = Alarm()
    for _ in range(10):
        alarm.ring()
    alarm.sleep(LONG)
    alarm.sleep(0)


def test_the_alarm_can_ring_a_hundred_thousand_times_before_anybody_sleeps():
    alarm = Alarm()
    for _ in range(100_000):
        alarm.ring()
    alarm.sleep(LONG)


@pytest.mark.parametrize("seconds", [0, -1, 0.001])
def test_a_sleep_without_a_ring_of_the_alarm_ends(seconds: float):
    Alarm().sleep(seconds)


def test_a_signal_handler_can_ring_the_alarm():
    alarm = Alarm()
    before = signal.signal(signal.SIGUSR1, lambda number, frame: alarm.ring())
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        alarm.sleep(LONG)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
