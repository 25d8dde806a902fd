"""What holds for the requests of this site, by its settings."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from django.conf import settings
from yarl import URL

MAX_BYTES = 5 * 2**20
CONNECT_TIMEOUT = 10.0
TOTAL_TIMEOUT = 30.0
# In milliseconds, between two requests to a host.
HOST_GAP = 500
# How many feeds of a host are asked at a time.
PER_HOST = 2
USUAL_PORTS = frozenset({80, 443})


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be asked, how fast, and how long that may take and become.

    `allowed_hosts` holds the "host:port"s that may have private addresses and other ports, in lower
    case. `at_a_time` is how many requests to a host are made at a time, 0 if that isn't limited.
    `max_bytes` limits the body, as it is sent and as it is decoded; `total_timeout` (seconds)
    everything together. Only the system's resolver may take longer than that to give up on a name.
    """

    allowed_hosts: AbstractSet[str] = frozenset()
    allowed_ports: AbstractSet[int] = frozenset()
    gap: int = 0
    at_a_time: int = 0
    contact: str = ""
    max_bytes: int = MAX_BYTES
    connect_timeout: float = CONNECT_TIMEOUT
    total_timeout: float = TOTAL_TIMEOUT

    def is_exempt(self, url: URL) -> bool:
        """Return whether the host may have a private address and any port, and needs no gap."""
        return f"{url.host_subcomponent}:{url.port}".lower() in self.allowed_hosts

    @property
    def ports(self) -> AbstractSet[int]:
        """The ports that feeds may be at."""
        return USUAL_PORTS | self.allowed_ports


def rules_of_site(max_bytes: int = MAX_BYTES) -> Rules:
    """Return the rules of this site."""
    return Rules(
        allowed_hosts=frozenset(map(str.lower, getattr(settings, "FEEDS_ALLOWED_HOSTS", ()))),
        allowed_ports=frozenset(getattr(settings, "FEEDS_ALLOWED_PORTS", ())),
        gap=getattr(settings, "FEEDS_HOST_GAP", HOST_GAP),
        at_a_time=per_host(),
        contact=getattr(settings, "FEEDS_CONTACT_URL", ""),
        max_bytes=max_bytes,
    )


def per_host() -> int:
    """Return how many feeds of a host are asked at a time."""
    return int(getattr(settings, "FEEDS_PER_HOST", PER_HOST))
