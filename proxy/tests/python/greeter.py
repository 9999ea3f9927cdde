"""What both Python servers have in common: the answers of hello.proto, and a record of the calls.

A server prints `listening on PORT`, then obeys the lines of its standard input: `stats` prints the record as one
line of JSON, `stats N` does so once N calls have been cancelled (or half a minute has passed), and the end of the
input ends the server.

A name that begins with "wait" is not answered: the call waits for its cancellation, which is how the tests
show that a deadline and the client's leaving reach the server.
"""

import collections
import json
import sys
import threading

import hello_pb2

LAST_CODE = 16
WAIT_SECONDS = 60


class Record:
    """Counts calls of SayHello. Several threads write to it."""

    def __init__(self):
        self._lock = threading.Condition()
        self._names = collections.Counter()
        self._answered = 0
        self._cancelled = 0
        self._deadlines = []

    def begin(self, name):
        with self._lock:
            self._names[name] += 1

    def answered(self):
        with self._lock:
            self._answered += 1

    def waiting(self, seconds_left):
        with self._lock:
            self._deadlines.append(seconds_left)

    def cancelled(self):
        with self._lock:
            self._cancelled += 1
            self._lock.notify_all()

    def wait_for_cancelled(self, count):
        with self._lock:
            self._lock.wait_for(lambda: self._cancelled >= count, timeout=WAIT_SECONDS / 2)

    def as_json(self):
        with self._lock:
            return json.dumps({
                "seen": sum(self._names.values()),
                "seen_twice": sum(1 for count in self._names.values() if count > 1),
                "answered": self._answered,
                "cancelled": self._cancelled,
                "deadlines": self._deadlines,
            })


def greet(name):
    return hello_pb2.HelloReply(message=f"Hello {name or 'world'}!")


def obey_standard_input(record, port):
    print(f"listening on {port}", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["stats"]:
            if words[1:]:
                record.wait_for_cancelled(int(words[1]))
            print(f"stats {record.as_json()}", flush=True)
