"""Parse in a process of its own, with a hard limit on time and memory.

Measured with feedparser 6.0.14: documents of 100 KB (newlines before the root element) and of
5 MiB (attributes, unclosed elements) keep it busy for more than 20 s. In the child they all
end after CPU_SECONDS. The child itself costs 0.1 s, and only when a feed has changed; 5 MiB of
entries take it 3 s.
"""

import json
import os
import resource
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

from feeds import parsing
from feeds.exceptions import NotAFeed, TooCostly
from feeds.reading.result import Enclosure, ParsedEntry, ParsedFeed

CPU_SECONDS = 10
MEMORY_BYTES = 2**30
WALL_SECONDS = 60
OVER_MEMORY = 3  # the child's exit code


def parse(
    body: bytes,
    content_type: str,
    url: str,
    *,
    cpu_seconds: int = CPU_SECONDS,
    memory: int = MEMORY_BYTES,
) -> ParsedFeed:
    """Do what `feeds.parsing.parse` does; raises NotAFeed, or TooCostly beyond the limits.

    `memory` is in bytes.
    """
    request = {
        "content_type": content_type,
        "url": url,
        "cpu_seconds": cpu_seconds,
        "memory": memory,
    }
    too_costly = TooCostly(
        url,
        "reading this document takes more than %(seconds)d s or %(memory).0f MiB, which no feed "
        "needs. It may be an attack; tell its publisher.",
        seconds=cpu_seconds,
        memory=memory / 2**20,
    )
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-c", "from feeds.sandbox import main; main()"],
            input=json.dumps(request).encode() + b"\n" + body,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=WALL_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise too_costly from error
    if child.returncode < 0 or child.returncode == OVER_MEMORY:
        raise too_costly
    if child.returncode:
        raise RuntimeError(f"The parser's process failed: {child.stderr.decode()[-2000:]}")
    answer = json.loads(child.stdout)
    if "problem" in answer:
        raise NotAFeed(url, answer["problem"], **answer["values"])
    return _feed(answer)


def main() -> None:
    """Run as the child: read a line of JSON and the document, print a line of JSON."""
    request = json.loads(sys.stdin.buffer.readline())
    _limit(resource.RLIMIT_CPU, request["cpu_seconds"])
    _limit(resource.RLIMIT_AS, request["memory"])
    try:
        body = sys.stdin.buffer.read()
        answer = asdict(parsing.parse(body, request["content_type"], request["url"]))
        print(json.dumps(answer, default=datetime.isoformat))
    except NotAFeed as error:
        print(json.dumps({"problem": error.text, "values": error.values}))
    except MemoryError:
        sys.exit(OVER_MEMORY)


def _limit(kind: int, maximum: int) -> None:
    # Not every system has every limit; the wall-clock time is limited in any case.
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (maximum, maximum))


def _feed(values: dict[str, Any]) -> ParsedFeed:
    for key in ("skip_hours", "skip_days"):
        values[key] = tuple(values[key])
    values["entries"] = tuple(_entry(entry) for entry in values["entries"])
    return ParsedFeed(**values)


def _entry(values: dict[str, Any]) -> ParsedEntry:
    for key in ("published", "updated"):
        values[key] = values[key] and datetime.fromisoformat(values[key])
    values["categories"] = tuple(values["categories"])
    values["enclosures"] = tuple(Enclosure(**one) for one in values["enclosures"])
    return ParsedEntry(**values)
