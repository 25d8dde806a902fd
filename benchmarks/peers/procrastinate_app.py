"""procrastinate's application."""

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
