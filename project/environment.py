"""How settings are read from the environment; an error names the setting that is invalid."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import environ
from django.conf.global_settings import LANGUAGES
from django.core.exceptions import ImproperlyConfigured
from redis import Redis

SWITCHES = {"on": ("on", "true", "yes", "1"), "off": ("off", "false", "no", "0", "")}
# Django looks here too, and refuses a time zone that it doesn't find.
SYSTEM_ZONES = Path("/usr/share/zoneinfo")
# The supported engines, and which options in a database's address Django itself takes.
ENGINES = {
    "django.db.backends.postgresql": {
        "assume_role",
        "isolation_level",
        "prepare_threshold",
        "server_side_binding",
    },
    "django.db.backends.sqlite3": {"init_command", "transaction_mode"},
}
MAX_PORT = 65_535
WEB_ADDRESS = re.compile(r"https?://[!-'*-:<-~]+")
# How many characters of a value a message shows.
SHOWN = 100


def refusal(name: str, wanted: str, value: str, reason: str = "") -> ImproperlyConfigured:
    """Return the error that says what a setting must be and what it is instead."""
    shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}…"
    why = f" ({reason})" if reason else ""
    return ImproperlyConfigured(f"{name} must be {wanted}, not {shown!r}{why}.")


def text(name: str, default: str) -> str:
    """Return a setting as it is: a "$" in it is not expanded."""
    value = os.environ.get(name, default)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refusal(name, "UTF-8 text", value) from None
    return value


def words(name: str, default: list[str]) -> list[str]:
    """Return a list setting, given as words separated by spaces or commas."""
    return text(name, " ".join(default)).replace(",", " ").split()


def hosts(name: str, default: list[str]) -> list[str]:
    """Return a list of hosts; URLs are refused."""
    for host in words(name, default):
        if "/" in host:
            raise refusal(name, "hosts such as jobs.example.org, separated by spaces", host)
    return words(name, default)


def origins(name: str) -> list[str]:
    """Return a list of origins, each with its scheme and host."""
    for origin in words(name, []):
        try:
            parts = urlsplit(origin)
            is_origin = bool(parts.scheme and parts.hostname)
        except ValueError:
            is_origin = False
        if not is_origin:
            raise refusal(name, "origins such as https://jobs.example.org", origin)
    return words(name, [])


def number(name: str, default: int, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number setting, from `least` to `most` if these are given."""
    value = text(name, str(default))
    try:
        found = int(value)
    except ValueError:
        raise refusal(name, "a whole number", value) from None
    if (least is not None and found < least) or (most is not None and found > most):
        bounds = f"from {least} on" if most is None else f"from {least} to {most}"
        raise refusal(name, f"a whole number {bounds}", value)
    return found


def ports(name: str) -> list[int]:
    """Return a list of ports, none by default."""
    found = words(name, [])
    for port in found:
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT):
            raise refusal(name, "ports such as 8080, separated by spaces", port)
    return [int(port) for port in found]


def web_address(name: str) -> str:
    """Return an address such as https://example.org/, "" by default."""
    value = text(name, "")
    if value and not WEB_ADDRESS.fullmatch(value):
        raise refusal(name, "an address such as https://example.org/about", value)
    return value


def limits(name: str, keys: list[str], default: str) -> dict[str, int]:
    """Return a setting such as “days=30 number=10000”, with any of these keys; “all” has none."""
    value = text(name, default)
    found: dict[str, int] = {}
    for word in value.replace(",", " ").split() if value != "all" else []:
        key, _, limit = word.partition("=")
        if key not in keys or key in found or not limit.isascii() or not limit.isdigit():
            raise refusal(name, f"“all”, or any of {' '.join(f'{key}=N' for key in keys)}", value)
        found[key] = int(limit)
    return found


def switch(name: str, default: bool = False) -> bool:
    """Return a setting that is on or off, off by default."""
    value = text(name, "on" if default else "off").lower()
    if value not in (*SWITCHES["on"], *SWITCHES["off"]):
        raise refusal(name, "on or off", value)
    return value in SWITCHES["on"]


def folder(name: str, default: Path) -> Path:
    """Return a folder in which this process can write; it is created, privately, if need be."""
    value = text(name, str(default))
    with usable(name, value):
        if not value:
            raise OSError("it is empty")
        path = Path(value).resolve()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise OSError("no permission")
    return path


@contextmanager
def usable(name: str, value: str) -> Iterator[None]:
    """Report an error inside the block as an error of this setting, whose folder can't be used."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        reason = getattr(error, "strerror", None) or str(error)
        raise refusal(name, "a folder that can be written", value, reason[:SHOWN]) from error


def time_zone(name: str, default: str) -> str:
    """Return the name of a time zone."""
    value = text(name, default)
    try:
        ZoneInfo(value)
        is_known = not SYSTEM_ZONES.exists() or (SYSTEM_ZONES / value).exists()
    except (ValueError, LookupError, OSError):
        is_known = False
    if not is_known:
        raise refusal(name, "a time zone that this system knows, such as Europe/Rome", value)
    return value


def language(name: str, default: str) -> str:
    """Return the code of a language that Django supports, or of a variant of one."""
    value = text(name, default)
    known, code = {code for code, _ in LANGUAGES}, value.lower()
    while code and code not in known:
        code = code.rpartition("-")[0]
    if not code:
        raise refusal(
            name, "the code of a language that Django supports, such as en-us or ko", value
        )
    return value


def database(name: str, default: str) -> dict[str, Any]:
    """Return the database at an address, which is never shown: it may hold a password."""
    value = text(name, default)
    wanted = ImproperlyConfigured(
        f"{name} must be the address of a PostgreSQL or SQLite database, such as "
        "postgres://user:password@host/name or sqlite:////path/to/file."
    )
    if value.partition("://")[0] not in environ.Env.DB_SCHEMES:
        raise wanted
    try:
        config: dict[str, Any] = environ.Env.db_url_config(value)
    except ValueError:
        raise wanted from None
    if config.get("ENGINE") not in ENGINES or config["NAME"] in ("", ":memory:"):
        raise wanted
    # As in libpq: %2Frun%2Fpostgresql is the folder of a socket.
    config["HOST"] = unquote(config["HOST"])
    try:
        _check_options(config)
    except ImportError:
        raise
    except Exception:  # the driver may raise anything, and quote part of a password in it
        raise ImproperlyConfigured(
            f"{name} must be the address of a database, with no options after “?” but those that "
            "its driver takes, such as connect_timeout=10 for PostgreSQL."
        ) from None
    return config


def _check_options(config: dict[str, Any]) -> None:
    """Let the driver check a database's options without connecting; it may raise anything."""
    engine = config["ENGINE"]
    options = {
        name: value
        for name, value in config.get("OPTIONS", {}).items()
        if name not in ENGINES[engine]
    }
    float(config.get("CONN_MAX_AGE") or 0)  # Django checks it only later
    if engine == "django.db.backends.sqlite3":
        sqlite3.connect(":memory:", **options).close()
    else:
        from psycopg import conninfo  # slow to import, and not needed for SQLite

        address = conninfo.make_conninfo(**options)
        conninfo.timeout_from_conninfo(conninfo.conninfo_to_dict(address))


def key_prefix(name: str, default: str) -> str:
    """Return with what the names of all keys in Redis begin, which RQ reads from there itself."""
    value = text(name, default)
    if not re.fullmatch("[A-Za-z0-9_.:{}-]+", value):
        raise refusal(name, "letters, digits and any of _ . : - { }, such as shop", value)
    return value


def redis_url(name: str) -> str:
    """Return the address of a Redis server, "" if none is given."""
    value = text(name, "")
    try:
        if value:
            _check_redis(value)
    except Exception as error:  # the client may raise anything
        # No password is shown: it is in front of an “@”, or among the options.
        reason = "" if "@" in value else str(error).partition(" (")[0].rpartition("() ")[2]
        shown = re.sub("^([a-z]+://)?.*@.*", r"\1***", value, flags=re.DOTALL).partition("?")[0]
        raise refusal(
            name, "an address such as redis://host:6379/0", shown, reason[:SHOWN]
        ) from None
    return value


def _check_redis(url: str) -> None:
    """Raise an error of any kind if no client or connection can be made from an address."""
    Redis.from_url(url).connection_pool.make_connection()
    parts = urlsplit(url)
    if parts.scheme != "unix" and not re.fullmatch("(/[0-9]*)?", parts.path):
        raise ValueError("its database is not a number")
