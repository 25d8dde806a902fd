"""The threads of coroutine runs: what goes on in them is known."""

import asyncio
import socket
import threading

from tasks.runs.threads import OwnThread, Threads, all_ended, note_calls


def test_what_goes_on_in_a_thread_is_noted_until_it_ends():
    async def run() -> tuple[int, int]:
        calls, release = note_calls(), threading.Event()
        asyncio.get_running_loop().run_in_executor(Threads(1), release.wait, 20)
        going_on = len(calls)
        release.set()
        await all_ended(calls)
        return going_on, len(calls)

    assert asyncio.run(run()) == (1, 0)


def test_the_look_up_of_an_address_is_not_waited_for():
    async def run() -> int:
        calls = note_calls()
        loop = asyncio.get_running_loop()
        loop.set_default_executor(Threads(1))
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        looking_up = loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        task = asyncio.ensure_future(looking_up)
        await asyncio.sleep(0)
        number = len(calls)
        await task
        return number

    assert asyncio.run(run()) == 0


def test_the_wait_for_threads_goes_on_when_it_is_cancelled():
    async def run() -> bool:
        calls, release = note_calls(), threading.Event()
        asyncio.get_running_loop().run_in_executor(Threads(1), release.wait, 20)
        waiting = asyncio.create_task(all_ended(calls))
        for _ in range(3):
            await asyncio.sleep(0)
            waiting.cancel()
        await asyncio.sleep(0)
        was_waiting = not waiting.done()
        release.set()
        await waiting
        return was_waiting

    assert asyncio.run(run())


def test_a_run_that_needs_no_thread_begins_none():
    before = threading.active_count()
    OwnThread().close()
    assert threading.active_count() == before
