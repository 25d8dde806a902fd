"""A real Redis that answers but refuses writes."""

from collections.abc import Iterator, Mapping

import pytest
from redis.exceptions import RedisError

from tasks.broker import leases
from tasks.broker.leases import LeaseProbe
from tests.servers import Valkey

# What makes it refuse writes, and what it is set to otherwise.
STATES: dict[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "NOREPLICAS": ({"min-replicas-to-write": "1"}, {"min-replicas-to-write": "0"}),
    "OOM": ({"maxmemory": "1"}, {"maxmemory": "0"}),
    "READONLY": ({"replicaof": "127.0.0.1 1"}, {"replicaof": "no one"}),
}


@pytest.fixture(params=STATES)
def states(
    request: pytest.FixtureRequest, valkey: Valkey
) -> Iterator[tuple[Mapping[str, str], Mapping[str, str]]]:
    yield STATES[request.param]
    _apply(STATES[request.param][1], valkey)


def _apply(state: Mapping[str, str], valkey: Valkey) -> None:
    for name, value in state.items():
        if name == "replicaof":
            valkey.client.execute_command("REPLICAOF", *value.split())
        else:
            valkey.client.config_set(name, value)


def test_a_redis_that_refuses_writes_starts_the_proof_that_leases_are_kept_anew(
    valkey: Valkey,
    states: tuple[Mapping[str, str], Mapping[str, str]],
    monkeypatch: pytest.MonkeyPatch,
):
    refusing, normal = states
    now = [1000.0]
    monkeypatch.setattr(leases, "elapsed_clock", lambda: now[0])
    probe = LeaseProbe()
    probe.proven_for(valkey.client)
    now[0] += 5
    assert probe.proven_for(valkey.client) == 5
    _apply(refusing, valkey)
    with pytest.raises(RedisError):
        probe.proven_for(valkey.client)
    _apply(normal, valkey)
    assert probe.proven_for(valkey.client) == 0
    now[0] += 3
    assert probe.proven_for(valkey.client) == 3
