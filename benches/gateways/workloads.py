"""What is asked, and how an answer is checked: by its meaning, since gateways differ in white space, order and framing."""

import json
import urllib.error
import urllib.request

REPLY_SECONDS = 30
TICK_COUNT = 1000
TICK_TEXT = "a small message"

NOTE = {
    "id": "9007199254740993",
    "title": "Quarterly review of the reading room",
    "text": "The reading room was open on every working day. " * 8,
    "priority": "PRIORITY_HIGH",
    "pinned": True,
    "score": 4.75,
    "revision": 12,
    "author": {"id": "u-1842", "displayName": "Ada Example", "email": "ada@example.org"},
    "readers": [
        {"id": "u-1843", "displayName": "Bob Example", "email": "bob@example.org"},
        {"id": "u-1844", "displayName": "Zoë Example", "email": "zoe@example.org"},
    ],
    "tags": ["review", "quarter", "reading room"],
    "samples": [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5],
    "labels": {"region": "north", "floor": "2"},
    "checksum": "3q2+7wAAAAD/////AAECAwQFBgc=",
    "parent": "notes/41",
}
NOTES = {"notes": [{**NOTE, "id": str(9007199254740993 + number), "revision": number + 1} for number in range(61)]}


class WrongAnswer(Exception):
    """The row of the table fails."""


class NotServed(Exception):
    """The gateway says that it does not do this."""


class Workload:
    """One kind of request; `paths` are asked in turn. `call` is method, message and value of the same by plain gRPC; `wire_length` the bytes of
    its answer, prefixes too, or 0 if it is the message that was sent."""

    def __init__(self, key, title, method, paths, value, call, wire_length=0):
        self.key, self.title, self.method, self.paths, self.call, self.wire_length = key, title, method, paths, call, wire_length
        self.is_stream = wire_length > 0
        self.body = None if method == "GET" else json.dumps(value, ensure_ascii=False).encode()
        self.expected = value

    def check(self, name, address):
        """Asks every path once; returns the length of the body."""
        return max(self.check_path(name, address, path) for path in self.paths)

    def check_path(self, name, address, path):
        request = urllib.request.Request(
            f"http://{address}{path}", method=self.method, data=self.body, headers={"Content-Type": "application/json"} if self.body else {}
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=REPLY_SECONDS) as reply:
                body = reply.read()
        except urllib.error.HTTPError as error:
            said = f"{error.code} {error.read(200).decode(errors='replace').strip()}"
            # Client's mistake, no such method, media type or protocol: a stream is what it does not do.
            if self.is_stream and error.code in (400, 404, 405, 415, 501):
                raise NotServed(said) from None
            raise WrongAnswer(f"{name} answers {self.method} {path} with {said}") from None
        found = read_stream(body) if self.is_stream else json.loads(body)
        if found != self.expected:
            raise WrongAnswer(f"{name} answers {self.method} {path} with {str(found)[:300]}, expected {str(self.expected)[:300]}")
        return len(body)


def read_stream(body):
    """The messages of a stream, in any framing: lines, lines with a `result`, or one array."""
    text, decoder, values, start = body.decode(), json.JSONDecoder(), [], 0
    while text[start:].strip():
        start += len(text[start:]) - len(text[start:].lstrip())
        value, start = decoder.raw_decode(text, start)
        values.append(value)
    if len(values) == 1 and isinstance(values[0], list):
        return values[0]
    return [value.get("result", value) for value in values]


def workloads(schema):
    """All, by their keys. The first is the one that connections are varied with."""
    greeting = {"message": "Ada"}
    hello = "bench.v1.HelloRequest", {"name": "Ada"}
    ticks = [{"index": number + 1, "text": TICK_TEXT} for number in range(TICK_COUNT)]
    # Prefix, tag and number as a varint, tag and length and text.
    ticks_length = sum(5 + 1 + (1 if number < 128 else 2) + 2 + len(TICK_TEXT) for number in range(1, TICK_COUNT + 1))
    found = [
        Workload("get", "GET small", "GET", ["/v1/hello/Ada"], greeting, ("/bench.v1.Bench/Greet", *hello)),
        Workload("post-1k", "POST 1 KB", "POST", ["/v1/echo"], NOTE, ("/bench.v1.Bench/EchoNote", "bench.v1.Note", NOTE)),
        Workload("post-64k", "POST 64 KB", "POST", ["/v1/notes"], NOTES, ("/bench.v1.Bench/EchoNotes", "bench.v1.Notes", NOTES)),
        Workload("stream", f"stream of {TICK_COUNT:,}", "GET", [f"/v1/ticks/{TICK_COUNT}"], ticks,
                 ("/bench.v1.Bench/Tick", "bench.v1.TickRequest", {"count": TICK_COUNT}), ticks_length),
        Workload("routes", "GET, any route", "GET", schema.asked_paths, greeting, ("/bench.routes0.Routes0/Call0", *hello)),
    ]  # fmt: skip
    return {workload.key: workload for workload in found}


KEYS = ("get", "post-1k", "post-64k", "stream", "routes")
