"""A site of version 0.1.0 goes on with this version: nothing is lost, and nothing runs twice."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from redis import Redis

from tests import upgrade
from tests.processes import Site, running, start
from tests.servers import Valkey, own_postgres, wait_for

Row = dict[str, Any]

# The columns that an upgrade leaves as they are.
OF_SCHEDULES = """
    job_id name type description function args kwargs fingerprint queue first interval cron timezone
    repeat start end exclude calendar_id jitter overlap catch_up start_deadline timeout retries
    retry_delay keep_runs keep_days note paused_at created
""".split()
OF_RUNS = """
    parent_id name status failed attempt started ended worker_name progress progress_message reason
    log result exception_class traceback created due requested
""".split()
# The schedules of which something was still to be done, or is due sooner or later.
LIVE = {
    *("monthly in Berlin", "every 30 days", "fails", "waits for its retry", "edited"),
    *("waits on its queue", "lost its worker", "its end is on the spool"),
    *("once, to come", "without its function"),
}
SYNCED = "monthly in Berlin"


@dataclass
class Database:
    """The upgraded site's database, read by its columns' names and past the models."""

    url: str

    def rows(self, query: str) -> list[Row]:
        """Return what a query finds, as dicts."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as lite:
                lite.row_factory = sqlite3.Row
                return [dict(row) for row in lite.execute(query)]
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(query.encode()).fetchall()

    def execute(self, statement: str) -> None:
        """Change rows."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as lite, lite:
                lite.execute(statement)
        else:
            with psycopg.connect(self.url) as connection:
                connection.execute(statement.encode())

    def number(self, query: str) -> int:
        """Return how many rows a query finds."""
        return len(self.rows(query))

    def schedules(self) -> list[Row]:
        return self.rows("SELECT * FROM tasks_scheduledtask ORDER BY id")

    def runs(self, name: str | None = None) -> list[Row]:
        """Return all runs, or those of the schedule with this name."""
        return [
            row
            for row in self.rows("SELECT * FROM tasks_scheduledtaskinstance ORDER BY id")
            if name is None or row["name"] == name
        ]

    def calls(self) -> dict[int, Row]:
        """Return the background calls by id."""
        return {row["id"]: row for row in self.rows("SELECT * FROM tasks_task")}


@dataclass
class Upgraded:
    """What a database of 0.1.0 held before, and the site with this version after a while."""

    database: Database
    redis: Redis
    schedules: list[Row]
    runs: list[Row]
    periods: list[Row]


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upgraded]:
    """Return a site of 0.1.0 with which this version has gone on until nothing was left to do."""
    data_dir = tmp_path_factory.mktemp("site")
    if request.param == "SQLite":
        url = f"sqlite:///{data_dir}/db.sqlite3"
        upgrade.load_sqlite(Path(url.removeprefix("sqlite:///")))
    else:
        url = own_postgres().create_database()
        upgrade.load_postgres(url)
    valkey = Valkey()  # the one of the other tests is empty in each test
    valkey.start()
    upgrade.load_redis(valkey.client)
    database = Database(url)
    # None of its schedules was made by `sync`.
    database.execute(f"UPDATE tasks_scheduledtask SET synced = true WHERE name = '{SYNCED}'")
    before = database.schedules(), database.runs(), _periods(database)
    environment = {
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": url,
        "REDIS_URL": valkey.url,
        "TASKS_LOST_AFTER": "15",
    }
    assert start(environment, "migrate", "-v0").wait(120) == 0
    with ExitStack() as stack:
        stack.enter_context(running(environment, "rqscheduler"))
        stack.enter_context(running(environment, "rqworker", "high", "default", "low"))
        wait_for(lambda: _is_done(database, valkey.client), "the end of what was left to do", 120)
        wait_for(lambda: _ledger_closes(environment), "a ledger that closes", 60)
        yield Upgraded(database, valkey.client, *before)
    valkey.stop()
    if request.param == "PostgreSQL":
        own_postgres().drop_database(url)


def _ledger_closes(site: Site) -> bool:
    """Return whether the ledger closes, but for the schedule whose function is gone."""
    process = start(site, "ledger", stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=60)
    return errors.decode().endswith("The ledger doesn't close: 1 problem.\n")


def _periods(database: Database) -> list[Row]:
    return database.rows("SELECT * FROM tasks_scheduleperiod ORDER BY id")


def _is_done(database: Database, redis: Redis) -> bool:
    """Return whether nothing waits on a queue or on the spool, and nothing runs."""
    calls = "SELECT 1 FROM tasks_task WHERE status IN ('queued', 'running')"
    runs = "SELECT 1 FROM tasks_scheduledtaskinstance WHERE status = 'running'"
    on_its_queue = database.runs("waits on its queue")
    return (
        not redis.exists(
            "tasks:spool", *(f"rq:queue:{name}" for name in ("high", "default", "low"))
        )
        and len(on_its_queue) == 3
        and not any(map(database.number, (calls, runs, "SELECT 1 FROM tasks_runrequest")))
        and database.runs("waits for its retry")[0]["attempt"] > 1
    )


def only(rows: list[Row], columns: list[str]) -> list[Row]:
    """Return the rows with these columns only."""
    return [{column: row[column] for column in ["id", *columns]} for row in rows]


def by_due(runs: list[Row]) -> list[tuple[str, int, bool]]:
    """Return of the runs of a schedule, in the order of their dues, what became of them."""
    runs = [run for run in runs if run["due"] is not None]
    runs.sort(key=lambda run: run["due"])
    return [(run["status"], run["attempt"], run["requested"] is not None) for run in runs]


def test_an_upgrade_keeps_every_schedule_with_all_that_people_have_set(site: Upgraded):
    assert only(site.database.schedules(), OF_SCHEDULES) == only(site.schedules, OF_SCHEDULES)


def test_an_upgrade_keeps_which_schedules_sync_has_made(site: Upgraded):
    owners = {row["name"]: row["list_owner"] for row in site.database.schedules()}
    assert {name: owner for name, owner in owners.items() if owner is not None} == {SYNCED: ""}


def test_an_upgrade_keeps_the_status_of_schedules(site: Upgraded):
    before = {row["name"]: row["status"] for row in site.schedules}
    after = {row["name"]: row["status"] for row in site.database.schedules()}
    ended = {name for name in before if name not in LIVE}
    assert {name: after[name] for name in ended} == {name: before[name] for name in ended}
    assert after["paused"] == after["News"] == "paused"
    assert after["waits on its queue"] == "death"
    assert {after[name] for name in LIVE - {"waits on its queue"}} == {"running", "failed"}


def test_an_upgrade_keeps_every_run_that_has_ended_as_it_is(site: Upgraded):
    # All but those that were still going on, to be tried again, or requested by backfill.
    taken_up = {
        run["id"]
        for run in site.runs
        if run["status"] == "running" or run["name"] == "waits for its retry"
    } | {run["id"] for run in site.runs if run["name"] == "misses all" and not run["requested"]}
    ended = [run for run in site.runs if run["id"] not in taken_up]
    after = [run for run in site.database.runs() if run["id"] in {one["id"] for one in ended}]
    assert only(after, OF_RUNS) == only(ended, OF_RUNS)
    assert {run["id"] for run in site.runs} <= {run["id"] for run in site.database.runs()}


def test_an_upgrade_keeps_what_runs_of_old_say_in_their_words(site: Upgraded):
    reasons = {run["reason"] for run in site.database.runs()}
    assert reasons >= {
        "Failed for: ValueError: as asked",
        "It could not be dispatched in time (catch-up: none).",
        "It could not be dispatched in time (catch-up: latest).",
        "It could not start within its start deadline of 2 s.",
        "Replaced by the next run.",
        "The run of 2026-11-26 23:31:25 UTC was still going.",
        "The schedule was changed before it could run.",
        "The schedule was paused or cancelled before it could run.",
    }
    [failed] = site.database.runs("fails")[:1]
    assert failed["traceback"].endswith("ValueError: as asked\n")


def test_an_upgrade_records_no_occurrence_twice(site: Upgraded):
    assert not site.database.rows(
        "SELECT parent_id, due FROM tasks_scheduledtaskinstance WHERE due IS NOT NULL "
        "GROUP BY parent_id, due HAVING count(*) > 1"
    )


def test_an_upgrade_keeps_the_earlier_periods_of_schedules(site: Upgraded):
    after = _periods(site.database)
    assert [period.pop("held_by") for period in after] == [""] * len(after)
    assert after[: len(site.periods)] == site.periods


def test_occurrences_that_old_code_has_dispatched_run_once(site: Upgraded):
    assert by_due(site.database.runs("waits on its queue")) == [("finished", 1, False)] * 3


def test_a_run_that_was_requested_of_old_code_runs_once(site: Upgraded):
    requested = [run for run in site.database.runs("every 30 days") if run["due"] is None]
    assert [run["status"] for run in requested] == ["finished", "finished"]


def test_a_backfill_that_was_requested_of_old_code_goes_on(site: Upgraded):
    assert by_due(site.database.runs("misses all")) == [
        *[("finished", 1, True)] * 4,
        ("missed", 1, False),
    ]


def test_a_failed_run_of_old_code_is_tried_again(site: Upgraded):
    run = site.database.runs("waits for its retry")[0]
    assert run["status"] == "failed"
    assert run["attempt"] > 1


def test_the_end_of_a_run_that_old_code_has_spooled_is_on_its_row(site: Upgraded):
    run = site.database.runs("its end is on the spool")[0]
    assert (run["status"], str(run["result"]), run["log"]) == ("finished", "40", "At 0\nAt 1\n")


def test_a_run_whose_worker_died_before_the_upgrade_is_closed_as_lost(site: Upgraded):
    run = site.database.runs("lost its worker")[0]
    assert run["status"] == "failed"
    assert (run["reason"], run["reason_code"]) == ("", "lost_contact")


def test_background_calls_of_old_code_go_on(site: Upgraded):
    calls = site.database.calls()
    statuses = {pk: call["status"] for pk, call in calls.items()}
    assert statuses == {
        1: "finished",
        2: "failed",
        3: "reserved",  # for 2099
        4: "canceled",
        5: "failed",  # its worker died
        6: "finished",  # it was on its queue
    }
    assert calls[5]["reason_code"] == "lost_contact"


def test_an_upgrade_keeps_what_feeds_have_said(site: Upgraded):
    [feed] = site.database.rows("SELECT * FROM feeds_feed")
    assert (feed["url"], feed["etag"]) == ("https://news.example/feed", '"abc"')
    entries = site.database.rows("SELECT title FROM feeds_entry ORDER BY id")
    assert [entry["title"] for entry in entries] == [f"Entry {n} – “quoted”" for n in (1, 2, 3)]


def test_after_an_upgrade_redis_holds_the_live_schedules_and_what_others_have_scheduled(
    site: Upgraded,
):
    jobs = {row["name"]: row["job_id"] for row in site.schedules}
    expected = LIVE - {"waits on its queue", "without its function"}
    members = {
        member.decode() for member in site.redis.zrange("rq:scheduler:scheduled_jobs", 0, -1)
    }
    assert members == {jobs[name] for name in expected} | {"somebodys-job"}
    assert site.redis.exists(*(f"rq:job:{jobs[name]}" for name in expected)) == len(expected)
    assert site.redis.hkeys("tasks:quarantine") == [b"somebodys-broken-job"]
