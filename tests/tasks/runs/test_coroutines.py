import threading

from asgiref.sync import sync_to_async

from tasks.runs import coroutines


def test_what_a_coroutine_calls_in_its_thread_has_a_thread_that_ends_with_it():
    """Nobody would look after the database connection of a thread that goes on."""

    async def call() -> list[threading.Thread]:
        return [await sync_to_async(threading.current_thread)() for _ in range(2)]

    first, again = coroutines.run(call())
    other, _again = coroutines.run(call())
    assert first is again
    assert first is not other
    assert not first.is_alive()
    assert first is not threading.main_thread()
