"""What the servers answer, and how they say where they listen. The answer ends in the times of the handler if FOUNDING_STAMPS is set."""

import os
import sys
import time

STAMPS = bool(os.environ.get("FOUNDING_STAMPS"))


def greet(name):
    if not STAMPS:
        return f"Hello {name}!"
    # The handler is done once it has this text: what follows is the framework's.
    return f"Hello {name}! {time.monotonic_ns()}"


def ended(message):
    return f"{message} {time.monotonic_ns()}" if STAMPS else message


def listening(port):
    print(f"listening on http://127.0.0.1:{port}", file=sys.stderr, flush=True)
