"""How the settings follow the environment; each case is a process of its own."""

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.servers import BASE_DIR

PRODUCTION = {
    "SECRET_KEY": "kept-in-the-environment-of-every-process-0123456789-abcdef",
    "ALLOWED_HOSTS": "tasks.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://tasks.example.com",
    "SECURE_SSL": "on",
}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "var"


def run(data_dir: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=BASE_DIR,
        env={"DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
    )


def setting(name: str, data_dir: Path, **environment: str) -> Any:
    code = f"import json; from project import settings; print(json.dumps(settings.{name}))"
    result = run(data_dir, "-c", code, **environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def refusal(data_dir: Path, **environment: str) -> str:
    result = run(data_dir, "manage.py", "check", **environment)
    assert result.returncode == 1
    return result.stderr


def test_without_any_environment_the_site_is_local_and_not_in_debug_mode(data_dir):
    assert setting("DEBUG", data_dir) is False
    assert setting("ALLOWED_HOSTS", data_dir) == ["localhost", "127.0.0.1", "[::1]"]


def test_list_settings_are_separated_by_spaces_or_commas(data_dir):
    hosts = setting("ALLOWED_HOSTS", data_dir, ALLOWED_HOSTS="a.example, localhost", SECRET_KEY="x")
    assert hosts == ["a.example", "localhost"]


def test_an_invalid_number_setting_is_refused_by_name(data_dir):
    message = refusal(data_dir, PORT="http")
    assert message == "Error: PORT must be a whole number, not 'http'.\n"


def test_the_secret_key_is_made_once_and_only_its_owner_can_read_it(data_dir):
    first, second = setting("SECRET_KEY", data_dir), setting("SECRET_KEY", data_dir)
    assert first == second
    assert len(first) == 50
    assert stat.S_IMODE((data_dir / "secret_key").stat().st_mode) == 0o600


def test_processes_that_start_together_agree_on_the_secret_key(data_dir):
    with ThreadPoolExecutor() as pool:
        keys = set(pool.map(lambda _: setting("SECRET_KEY", data_dir), range(4)))
    assert len(keys) == 1


def test_a_secret_key_from_the_environment_is_used_as_it_is(data_dir):
    assert setting("SECRET_KEY", data_dir, SECRET_KEY="$PATH") == "$PATH"


def test_a_site_that_others_reach_needs_a_secret_key_of_its_own(data_dir):
    message = refusal(data_dir, ALLOWED_HOSTS="tasks.example.com")
    assert "needs a SECRET_KEY in the environment" in message
    assert not (data_dir / "secret_key").exists()


def test_a_site_that_up_has_made_keeps_calls_for_a_month_in_its_own_database_only(data_dir):
    data_dir.mkdir()
    assert setting("TASKS_KEEP_CALLS", data_dir) == {}
    (data_dir / "keep_calls").touch()
    assert setting("TASKS_KEEP_CALLS", data_dir) == {"days": 30}
    url = "postgres://user@localhost/name"
    assert setting("TASKS_KEEP_CALLS", data_dir, DATABASE_URL=url) == {}


@pytest.mark.parametrize(
    ("value", "kept"),
    [("all", {}), ("number=5", {"number": 5}), ("days=7, number=100", {"days": 7, "number": 100})],
)
def test_how_many_calls_are_kept_can_be_set(data_dir, value, kept):
    assert setting("TASKS_KEEP_CALLS", data_dir, TASKS_KEEP_CALLS=value) == kept


@pytest.mark.parametrize("value", ["30", "days=", "days=-1", "days=1 days=2", "hours=3"])
def test_what_to_keep_of_calls_is_refused_by_name(data_dir, value):
    message = refusal(data_dir, TASKS_KEEP_CALLS=value)
    assert f"TASKS_KEEP_CALLS must be “all”, or any of days=N number=N, not '{value}'" in message


def test_the_default_database_is_sqlite_for_several_writers(data_dir):
    database = setting("DATABASES", data_dir)["default"]
    assert database["NAME"] == str(data_dir / "db.sqlite3")
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in database["OPTIONS"]["init_command"]


def test_an_sqlite_file_from_the_environment_gets_the_default_options(data_dir):
    database = setting("DATABASES", data_dir, DATABASE_URL="sqlite:////srv/own.sqlite3")["default"]
    assert database["NAME"] == "/srv/own.sqlite3"
    assert database["OPTIONS"]["timeout"] == 20


def test_postgresql_is_chosen_by_url_and_its_connections_are_kept(data_dir):
    url = "postgresql://user:p%40ss@db.example:5433/site"
    database = setting("DATABASES", data_dir, DATABASE_URL=url)["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["PASSWORD"], database["PORT"]) == ("p@ss", 5433)
    assert database["CONN_MAX_AGE"] == 60


def test_redis_is_the_embedded_valkey_unless_a_server_is_given(data_dir):
    assert setting("REDIS_URL", data_dir) == f"unix://{data_dir}/valkey.sock"
    assert setting("EMBEDDED_VALKEY", data_dir) is True
    queues = setting("RQ_QUEUES", data_dir, REDIS_URL="redis://redis.example:6379/1")
    assert {queue["URL"] for queue in queues.values()} == {"redis://redis.example:6379/1"}


def test_the_production_settings_pass_djangos_deployment_check(data_dir):
    result = run(
        data_dir, "manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION
    )
    assert result.returncode == 0, result.stderr


def test_the_folder_of_a_socket_is_the_host_of_a_database_as_in_libpq(data_dir):
    url = "postgres://pg@%2Frun%2FPostgreSQL:5433/db"
    database = setting("DATABASES", data_dir, DATABASE_URL=url)["default"]
    place = (database["HOST"], database["PORT"], database["NAME"])
    assert place == ("/run/PostgreSQL", 5433, "db")


@pytest.mark.parametrize("name", ["SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD"])
def test_https_binds_no_more_than_this_site_unless_it_is_asked_for(data_dir, name):
    assert setting(name, data_dir, **PRODUCTION) is False
    assert setting(name, data_dir, **PRODUCTION, **{name: "on"}) is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "banana"),
        ("SECURE_SSL", "perhaps"),
        ("SECURE_HSTS_SECONDS", "-1"),
        ("SECURE_HSTS_PRELOAD", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
        ("DATABASE_URL", "foo"),
        ("DATABASE_URL", "postgres://host:port/name"),
        ("DATABASE_URL", "oracle://host/name"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite:////srv/own.sqlite3?foo=bar"),
        ("DATABASE_URL", "postgres://h/n?connect_timeout=abc"),
        ("DATABASE_URL", "postgres://h/n?foo=bar"),
        ("DATABASE_URL", "postgres://h/n?conn_max_age=abc"),
        ("REDIS_URL", "nonsense"),
        ("REDIS_URL", "redis://host:port/0"),
        ("REDIS_URL", "redis://[x"),
        ("REDIS_URL", "redis://localhost:6379/x"),
        ("REDIS_URL", "redis://localhost:6379/0/1"),
        ("RQ_KEY_PREFIX", ""),
        ("RQ_KEY_PREFIX", "my shop"),
        ("RQ_KEY_PREFIX", "shop%"),
        ("TIME_ZONE", "Nowhere/Nothing"),
        ("TIME_ZONE", "Europe"),
        ("TIME_ZONE", "../etc/passwd"),
        ("TIME_ZONE", ""),
        ("LANGUAGE_CODE", "xx-nonsense"),
        ("LANGUAGE_CODE", "fr_FR"),
        ("LANGUAGE_CODE", "zh"),
        ("LANGUAGE_CODE", ""),
        ("DATA_DIR", ""),
        ("DATA_DIR", "/dev/null"),
        ("DATA_DIR", "/dev/null/below"),
        ("DATA_DIR", "/proc/nonsense"),
        ("DATA_DIR", os.fsdecode(b"\xff")),
        ("ALLOWED_HOSTS", "https://jobs.example.org"),
        ("CSRF_TRUSTED_ORIGINS", "jobs.example.org"),
        ("CSRF_TRUSTED_ORIGINS", "://"),
        ("CSRF_TRUSTED_ORIGINS", "https://"),
        ("CSRF_TRUSTED_ORIGINS", "://jobs.example.org"),
        ("CSRF_TRUSTED_ORIGINS", "https://[x"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "$PORT"),
        ("WORKERS", "-1"),
        ("WORKERS", ""),
        ("FEEDS_ALLOWED_PORTS", "http"),
        ("FEEDS_CONTACT_URL", "somebody@example.org"),
        ("FEEDS_PUBLIC_URL", "jobs.example.org"),
        *((name, "x" * 100_000) for name in ("DATA_DIR", "TIME_ZONE", "LANGUAGE_CODE", "DEBUG")),
    ],
    ids=lambda value: ascii(value[:30]),
)
def test_an_invalid_setting_is_refused_by_name(data_dir, name: str, value: str):
    message = refusal(data_dir, **{name: value})
    assert message.startswith(f"Error: {name} must be ")
    assert message.count("\n") == 1
    if name != "DATABASE_URL":
        assert repr(value[:50])[1:-1] in message
    assert len(message) < 400


def test_a_data_dir_that_cannot_be_written_is_refused(data_dir):
    data_dir.mkdir()
    (data_dir / "static").write_text("a file")
    message = refusal(data_dir)
    assert message.startswith("Error: DATA_DIR must be a folder that can be written, not '/")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://me:secret@host/name"),
        ("DATABASE_URL", "postgres://me:secret@host/name?foo=bar"),
        ("DATABASE_URL", "postgres://host/name?password=secret&connect_timeout=abc"),
        ("REDIS_URL", "http://me:secret@host/0"),
        ("REDIS_URL", "me:secret@host/0"),
        ("REDIS_URL", "redis://me:secret/1@host/0"),
        ("REDIS_URL", "redis://host/0?password=p@secret&foo=bar"),
        ("REDIS_URL", "redis://host/0?password=secret&foo=bar"),
    ],
)
def test_the_refusal_of_a_setting_shows_no_password(data_dir, name: str, value: str):
    message = refusal(data_dir, **{name: value})
    assert message.startswith(f"Error: {name} must be ")
    assert message.count("\n") == 1
    assert "secret" not in message


def test_an_unknown_option_of_the_redis_url_is_named(data_dir):
    message = refusal(data_dir, REDIS_URL="redis://localhost/0?foo=bar")
    assert message.startswith("Error: REDIS_URL must be an address such as redis://host:6379/0, ")
    assert "'foo'" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://localhost"),
        ("REDIS_URL", "redis://:secret@localhost:6379/?socket_timeout=3&db=2"),
        ("REDIS_URL", "rediss://localhost:6379/1?ssl_cert_reqs=none"),
        ("REDIS_URL", "unix:///run/valkey.sock?db=1"),
        ("RQ_KEY_PREFIX", "{shop}.staging:2-b_c"),
        ("DATABASE_URL", "postgres://h/n?sslmode=require&connect_timeout=10&conn_max_age=0"),
        ("DATABASE_URL", "postgres://h/n?prepare_threshold=5&assume_role=tasks&conn_max_age=None"),
        ("DATABASE_URL", "sqlite:////srv/own.sqlite3?timeout=30"),
        ("CSRF_TRUSTED_ORIGINS", "https://*.example.org http://jobs.example.org:8080"),
    ],
)
def test_valid_addresses_with_their_options_are_accepted(data_dir, name: str, value: str):
    assert setting("DEBUG", data_dir, **{name: value}) is False


@pytest.mark.parametrize("code", ["ko", "ko-KR", "en-au", "de-at", "zh-hans", "EN"])
def test_languages_and_their_variants_are_accepted(data_dir, code: str):
    result = run(data_dir, "manage.py", "check", LANGUAGE_CODE=code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("environment", "of_the_site", "of_up"),
    [
        ({}, False, True),
        ({"ALLOWED_HOSTS": "tasks.example.com", "SECRET_KEY": "x"}, False, False),
        ({"ACTIVITY_FEED": "on"}, True, True),
        ({"ACTIVITY_FEED": "off"}, False, False),
    ],
)
def test_the_activity_feed_is_off_but_for_up_on_this_machine(
    data_dir, environment, of_the_site, of_up
):
    assert setting("FEEDS_ACTIVITY_FEED", data_dir, **environment) is of_the_site
    assert setting("ACTIVITY_FEED_OF_UP", data_dir, **environment) is of_up
