"""Calls one function of the benchmarks in a process of its own, in the environment it needs.

python -m benchmarks.call benchmarks.peers.dispatch:huey '{"number": 1000}'
"""

import importlib
import json
import os
import sys

MARK = "ANSWER "


def main(target: str, arguments: str) -> None:
    """Call the function with these arguments and print what it returns, as JSON."""
    if os.environ.get("DJANGO_SETTINGS_MODULE"):
        import django

        django.setup()
    module, _, name = target.partition(":")
    answer = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    print(MARK + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
    # Don't wait for threads and connections that a library left open.
    os._exit(0)
