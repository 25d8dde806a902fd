"""The names of keys in Redis stand in one file."""

import ast
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, run

import pytest
from redis import Redis
from rq.executions import Execution
from rq_scheduler.scheduler import Scheduler as RqScheduler

from tasks.broker import keys

ROOT = Path(keys.__file__).parents[2]
MODULES = [
    path.relative_to(ROOT)
    for package in ("tasks", "feeds", "project")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path != Path(keys.__file__)
]
# At the beginning of a text, or of a string in the Lua that it holds.
KEY_NAME = re.compile(r"""(?:^|['"])((?:rq|tasks):\w*)""")


def docstrings(tree: ast.Module) -> set[ast.expr]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, documented)]
    return {body[0].value for body in bodies if body and isinstance(body[0], ast.Expr)}


def key_names(source: str) -> Iterator[str]:
    """Yield the names of keys that string literals of a module begin with."""
    tree = ast.parse(source)
    excepted = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in excepted:
            yield from KEY_NAME.findall(node.value)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_other_module_than_keys_writes_out_the_name_of_a_redis_key(module: Path):
    assert list(key_names((ROOT / module).read_text())) == []


def test_names_of_redis_keys_are_found_in_strings_f_strings_and_lua():
    source = '''
"""rq:docstring"""
first = "rq:queues"  # rq:comment
second = f"tasks:lease:{job_id}"
third = """redis.call('DEL', 'rq:job:' .. ARGV[1])"""
'''
    assert sorted(key_names(source)) == ["rq:job", "rq:queues", "tasks:lease"]


@pytest.mark.parametrize("name", keys.LUA_NAMES)
def test_a_script_knows_each_redis_key_by_its_name(redis_connection: Redis, name: str):
    script = keys.with_key_names(f"return {name}")
    assert redis_connection.eval(script, 0).decode() == keys.LUA_NAMES[name]


def test_redis_keys_that_are_written_out_are_those_of_rq_and_rq_scheduler(redis_connection: Redis):
    assert RqScheduler.scheduled_jobs_key == keys.SCHEDULES_KEY
    assert RqScheduler.scheduler_lock_key == keys.LEADER_KEY
    assert Execution("e", "j", redis_connection).key == f"{keys.EXECUTION_PREFIX}j:e"


# Prints all names of keys, and what they begin with, as a process with a prefix has them.
NAMES_WITH_A_PREFIX = """
import json, django
django.setup()
from rq_scheduler.scheduler import Scheduler as RqScheduler
from tasks.broker import keys
from tasks.scheduler import Scheduler

names = [name for name in vars(keys) if name.endswith(("_KEY", "_PREFIX")) and name.isupper()]
found = {name: getattr(keys, name) for name in names if name != "DEFAULT_PREFIX"}
found |= {name: name for name in keys.TYPES} | keys.LUA_NAMES
of_rq_scheduler = [name for name, value in vars(RqScheduler).items() if "rq:" in str(value)]
print(json.dumps(found | {name: getattr(Scheduler, name) for name in of_rq_scheduler}))
"""


@pytest.mark.parametrize("prefix", ["shop", "{shop}.staging:"])
def test_with_a_prefix_all_redis_keys_begin_with_it(prefix: str):
    own = {"RQ_KEY_PREFIX": prefix, "DJANGO_SETTINGS_MODULE": "tests.process_settings"}
    command = [sys.executable, "-c", NAMES_WITH_A_PREFIX]
    answer = run(command, cwd=ROOT, env=os.environ | own, stdout=PIPE, check=True)
    names = json.loads(answer.stdout)
    assert {"scheduled_jobs_key", "scheduler_lock_key", "OWNER_KEY", "LEASE"} <= names.keys()
    assert [name for name, key in names.items() if not key.startswith(prefix)] == []


def test_without_a_prefix_redis_keys_have_the_names_of_earlier_versions():
    own = {name for name in keys.TYPES if name.startswith("tasks:")}
    assert own == {
        "tasks:clock_step",
        "tasks:clocks",
        "tasks:dispatch",
        "tasks:lease-probe",
        "tasks:owner",
        "tasks:parked",
        "tasks:probe",
        "tasks:schedulers",
        "tasks:projected",
        "tasks:quarantine",
        "tasks:spool",
        "tasks:spool:unreadable",
        "tasks:wake",
    }
    assert (keys.LEASE_PREFIX, keys.TAKEN_PREFIX) == ("tasks:lease:", "tasks:taken:")
