"""The settings of a site that uses Sentry: what its SDK would send is appended to a file."""

import json
import os
from pathlib import Path

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from tests.process_settings import *  # noqa: F403


class Collector(Transport):
    """Keeps what it is given to send."""

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            with Path(os.environ["SENTRY_COLLECTED"]).open("a") as file:
                file.write(json.dumps(event, default=str) + "\n")


sentry_sdk.init(dsn="https://key@sentry.invalid/1", transport=Collector)
