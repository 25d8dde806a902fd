"""procrastinate's application."""

import asyncio
import os

import procrastinate

from benchmarks.stamps import stamp

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"])
)


@app.task(name="noop")
async def noop(number: int) -> None:
    """Do nothing but record when."""
    stamp()


@app.task(name="pause")
async def pause(seconds: float) -> None:
    """Wait, and record when that began and when it ended."""
    stamp()
    await asyncio.sleep(seconds)
    stamp()
