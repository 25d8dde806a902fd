"""The keys in Redis that the benchmarks read."""

QUEUE_KEY = "rq:queue:default"
SCHEDULES_KEY = "rq:scheduler:scheduled_jobs"
IDLE_KEY = "tasks:idle:default"
