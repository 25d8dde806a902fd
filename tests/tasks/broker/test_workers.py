"""Which workers there are."""

from redis import Redis

from tasks.broker.workers import live_workers, queues_without_worker
from tasks.worker import Worker


def test_workers_are_live_on_their_queues_as_long_as_redis_has_their_keys(redis_connection: Redis):
    one = Worker(["high", "low"], connection=redis_connection, name="one")
    two = Worker(["high"], connection=redis_connection, name="two")
    three = Worker(["high"], connection=redis_connection, name="three")
    for worker in (one, two, three):
        worker.register_birth()
    two.register_death()
    redis_connection.delete(three.key)
    found = live_workers(["high", "low", "default"], redis_connection)
    assert found == {"high": {"one"}, "low": {"one"}, "default": set()}


def test_nobody_waits_longer_for_redis_because_workers_were_looked_for(redis_connection: Redis):
    Worker(["default"], connection=redis_connection).register_birth()
    arguments = redis_connection.connection_pool.connection_kwargs
    arguments["socket_timeout"] = 5
    assert "default" not in queues_without_worker()
    assert arguments["socket_timeout"] == 5
