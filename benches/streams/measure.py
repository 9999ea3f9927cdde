#!/usr/bin/env python3
"""Memory of the gateway against the length of a stream, and time to the first message against plain gRPC, as Markdown tables.

    benches/streams/measure.py [--rounds 200] [--transom PROGRAM]

Builds Transom for release unless --transom names a program. `transom demo` is the upstream, a bookstore on tonic; a
second process, `transom serve --workers 1`, is the gateway that is measured. Memory: VmRSS before a stream, and the peak
(VmHWM, set back before each stream) while it is read to its end; what arrived is counted and compared with what was
asked for. Times: from the request's last byte to the first byte of the first message, over connections that are open
already, by raw sockets on both sides: HTTP/1.1 to the gateway, and a few hand-made frames of HTTP/2 straight to the
bookstore. The two take turns in one run. Nothing keeps running afterwards: every process is stopped by its own id.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
START_SECONDS, STOP_SECONDS, IO_SECONDS, BUILD_SECONDS = 30, 10, 120, 3600
PAGE_LEN = 2048


def say(text):
    print(text, file=sys.stderr, flush=True)


class Program:
    """A process of transom that says `listening on http://ADDRESS` and, before that, where its upstream is."""

    def __init__(self, arguments):
        self.lines = []
        self._ready = threading.Event()
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, daemon=True).start()
        self._ready.wait(START_SECONDS)
        self.address = self._find("listening on http://")
        self.upstream = self._find("upstream  http://")

    def _listen(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if "listening on http://" in line:
                break
        self._ready.set()
        # The pipe is read to its end, so that the program never waits for us.
        for _ in self.process.stderr:
            pass

    def _find(self, before):
        for line in self.lines:
            if before in line:
                host, port = line.split(before)[1].split()[0].rstrip("/").rsplit(":", 1)
                return host, int(port)
        self.stop()
        raise SystemExit(f"transom did not say where it is: {''.join(self.lines)}")

    def memory(self, what):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(what)) / 1024

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    def stop(self):
        for end in (self.process.terminate, self.process.kill):
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
                return


def connect(address):
    connection = socket.create_connection(address, timeout=IO_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Http:
    """One kept-alive connection to the gateway."""

    def __init__(self, address):
        self.connection = connect(address)
        self.input = self.connection.makefile("rb")

    def send(self, method, path, body=b"", headers=()):
        lines = [f"{method} {path} HTTP/1.1", "Host: demo", *headers, *([f"Content-Length: {len(body)}"] if body else []), "", ""]
        self.connection.sendall("\r\n".join(lines).encode() + body)

    def read_head(self):
        status = int(self.input.readline().split()[1])
        headers = {}
        while (line := self.input.readline().strip()) != b"":
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        return status, headers

    def read_chunk(self):
        """The next chunk; empty at the end."""
        length = int(self.input.readline().split(b";")[0], 16)
        chunk = self.input.read(length)
        self.input.readline()
        return chunk

    def call(self, method, path, body):
        self.send(method, path, json.dumps(body).encode())
        status, headers = self.read_head()
        reply = self.input.read(int(headers["content-length"]))
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {reply!r}")
        return json.loads(reply)

    def read_stream(self, path):
        """Bytes and line feeds of the whole body."""
        self.send("GET", path, headers=["Accept: application/x-ndjson"])
        status, _headers = self.read_head()
        if status != 200:
            raise RuntimeError(f"GET {path}: {status}")
        length = lines = 0
        while chunk := self.read_chunk():
            length += len(chunk)
            lines += chunk.count(b"\n")
        return length, lines

    def first_message_seconds(self, path):
        self.send("GET", path, headers=["Accept: application/x-ndjson"])
        start = time.perf_counter()
        status, _headers = self.read_head()
        chunk = self.read_chunk()
        taken = time.perf_counter() - start
        if status != 200 or not chunk:
            raise RuntimeError(f"GET {path}: {status}, {len(chunk)} bytes")
        while self.read_chunk():
            pass
        return taken


class Grpc:
    """One connection of HTTP/2 to the bookstore, just as much of it as calls of one message need."""

    DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
    END_STREAM, END_HEADERS, ACK = 1, 4, 1

    def __init__(self, address):
        self.connection = connect(address)
        self.input = self.connection.makefile("rb")
        self.stream = -1
        # Windows as large as can be: a reader that never gives back any.
        settings = struct.pack(">HI", 4, 2**31 - 1)
        self.connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(self.SETTINGS, 0, 0, settings)
            + self.frame(self.WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1 - 65535))
        )  # fmt: skip

    @staticmethod
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload

    def first_message_seconds(self, method, message):
        self.stream += 2
        fields = [(":method", "POST"), (":scheme", "http"), (":path", f"/bookstore.v1.Bookstore/{method}"), (":authority", "demo"),
                  ("content-type", "application/grpc"), ("te", "trailers")]  # fmt: skip
        # Literal fields without indexing, names and values in plain bytes shorter than 127.
        block = b"".join(b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode() for name, value in fields)
        body = struct.pack(">BI", 0, len(message)) + message
        self.connection.sendall(
            self.frame(self.HEADERS, self.END_HEADERS, self.stream, block) + self.frame(self.DATA, self.END_STREAM, self.stream, body)
        )
        start = time.perf_counter()
        taken = None
        while True:
            head = self.input.read(9)
            kind, flags = head[3], head[4]
            stream = struct.unpack(">I", head[5:])[0]
            payload = self.input.read(int.from_bytes(head[:3], "big"))
            if kind == self.SETTINGS and not flags & self.ACK:
                self.connection.sendall(self.frame(self.SETTINGS, self.ACK, 0, b""))
            elif kind == self.PING and not flags & self.ACK:
                self.connection.sendall(self.frame(self.PING, self.ACK, 0, payload))
            elif kind == self.DATA and stream == self.stream and taken is None and len(payload) > 5:
                taken = time.perf_counter() - start
            if stream == self.stream and flags & self.END_STREAM and kind in (self.DATA, self.HEADERS):
                if taken is None:
                    raise RuntimeError(f"{method}: the bookstore sent no message")
                return taken


def field(number, text):
    """A string field, shorter than 128 bytes, in protobuf."""
    return bytes((number << 3 | 2, len(text))) + text.encode()


def measure_memory(gateway):
    client = Http(gateway.address)
    rows = []
    books = {}
    shelf = client.call("POST", "/v1/shelves?shelf_id=texts", {"theme": "Long texts"})["name"]
    for size in (1, 100):
        # So many pages that the text of the book has this many MiB.
        page_count = size * (1 << 20) // PAGE_LEN
        books[size] = client.call("POST", f"/v1/{shelf}/books?book_id=text-{size}", {"title": "Text", "pageCount": page_count})["name"]
    plans = [
        (f"{count:,} message{'s' if count > 1 else ''}", f"/v1/shelves/poetry/books:watch?rounds={count}", None, count)
        for count in (1, 100, 10_000)
    ]
    plans += [(f"download of {size} MiB", f"/v1/{books[size]}:read", size << 20, None) for size in (1, 100)]
    for name, path, length_wanted, count_wanted in plans:
        # What is kept for good after a first stream of its kind is there before it counts.
        if not rows:
            client.read_stream(path)
        before = gateway.memory("VmRSS")
        gateway.forget_peak()
        start = time.perf_counter()
        length, lines = client.read_stream(path)
        seconds = time.perf_counter() - start
        if length_wanted not in (None, length) or count_wanted not in (None, lines):
            raise RuntimeError(f"{name}: {length} bytes and {lines} lines arrived")
        rows.append((name, length, seconds, before, gateway.memory("VmHWM")))
    return rows


def measure_times(gateway, demo, rounds):
    http, grpc = Http(gateway.address), Grpc(demo.upstream)
    path = "/v1/shelves/fiction/books:watch?rounds=1"
    message = field(1, "shelves/fiction")
    times = {"plain gRPC, to the bookstore": [], "HTTP/1.1, through transom": []}
    for number in range(rounds + 20):
        figures = (grpc.first_message_seconds("WatchBooks", message), http.first_message_seconds(path))
        # The first ones warm caches and connections.
        if number >= 20:
            for row, figure in zip(times.values(), figures):
                row.append(figure * 1e6)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, choices=range(10, 100_001), metavar="10..100000")
    parser.add_argument("--transom", help="a built program, instead of building one")
    options = parser.parse_args()
    program = options.transom
    if not program:
        say("building transom for release")
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "-p", "transom"], cwd=ROOT, check=True, timeout=BUILD_SECONDS)
        program = os.path.join(TARGET, "release", "transom")
    with contextlib.ExitStack() as stack:
        demo = Program([program, "demo", "--listen", "127.0.0.1:0"])
        stack.callback(demo.stop)
        gateway = Program([program, "serve", "--workers", "1", "--listen", "127.0.0.1:0", "--upstream", "http://%s:%d" % demo.upstream])
        stack.callback(gateway.stop)
        memory = measure_memory(gateway)
        times = measure_times(gateway, demo, options.rounds)
    print("Resident memory of `transom serve --workers 1`, MiB:\n")
    print("| stream | bytes | seconds | before | peak | growth |\n|---|---|---|---|---|---|")
    for name, length, seconds, before, peak in memory:
        print(f"| {name} | {length:,} | {seconds:.2f} | {before:.1f} | {peak:.1f} | {max(0, peak - before):.1f} |")
    print(f"\nTime to the first of two messages, µs, {options.rounds} rounds in turn:\n")
    print("| way | median | 10th to 90th percentile |\n|---|---|---|")
    for name, row in times.items():
        deciles = statistics.quantiles(row, n=10)
        print(f"| {name} | {statistics.median(row):.0f} | {deciles[0]:.0f} to {deciles[-1]:.0f} |")


if __name__ == "__main__":
    main()
