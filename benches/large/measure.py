#!/usr/bin/env python3
"""What long bodies cost, and what they cost the others on the same worker, as a Markdown table.

    benches/large/measure.py [--sizes 1 4 32] [--rounds 10] [--io auto] [--turns] [--transom PROGRAM]

Builds Transom for release unless --transom names a program. `transom demo` is the upstream, a bookstore on tonic that answers with the message it
was sent; a second process, `transom serve --workers 1` with limits of 64 MiB, is the gateway that is measured. Each row is one shape of body, of so many
MiB of JSON: it goes there and comes back, which is checked. Meanwhile a process of its own sends one small GET after the other on a connection of its own, which
the same worker serves: its latencies are compared with those while nothing else happens. Both processes of Python are stopped by the system as any others
are, so on a machine that is busy the tail is mostly theirs. --gaps asks strace how long the worker's thread was away from its loop: from the end of one
wait for the kernel to the start of the next, which is what a small request has to wait at most. strace itself costs some of that.
Nothing keeps running afterwards: every process is stopped by its own id.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "streams"))

from measure import ROOT, TARGET, BUILD_SECONDS, Http, Program, say  # noqa: E402

MEBIBYTE = 1 << 20
SMALL = "/v1/echo?stringValue=small"
PAUSE_SECONDS = 0.2


def text(length):
    return {"stringValue": "x" * length}


def escapes(length):
    return {"stringValue": "\u00e9\n" * (length // 8)}


def data(length):
    return {"bytesValue": base64.b64encode(os.urandom(length * 3 // 4)).decode()}


def records(length):
    one = {"text": "one of many", "number": 7}
    return {"repeatedNested": [one] * (length // (len(json.dumps(one)) + 2))}


def numbers(length):
    return {"repeatedInt32": list(range(1_000_000, 1_000_000 + length // 9))}


def entries(length):
    return {"int32ToNested": {str(number): {"text": "a"} for number in range(1_000_000, 1_000_000 + length // 27)}}


SHAPES = {"one text": text, "one text with escapes": escapes, "bytes": data, "records": records, "numbers": numbers, "a map": entries}


class LongHttp(Http):
    """The same with time for what is long."""

    def echo(self, body):
        """Sends the body, and gives the status, the seconds that it took, and the answer."""
        start = time.perf_counter()
        self.send("POST", "/v1/echo", body)
        status, headers = self.read_head()
        answer = self.input.read(int(headers["content-length"]))
        return status, time.perf_counter() - start, answer


def send_small(address, stop, pipe):
    """Sends small requests until it is told to stop; then says how long each took."""
    http, latencies = LongHttp(address), []
    while not stop.is_set():
        start = time.perf_counter()
        http.send("GET", SMALL)
        status, headers = http.read_head()
        answer = http.input.read(int(headers["content-length"]))
        latencies.append(time.perf_counter() - start)
        if status != 200 or b"small" not in answer:
            raise RuntimeError(f"{status} {answer!r}")
    pipe.send(latencies)


@contextlib.contextmanager
def small_requests(address):
    """Small requests as long as the context lives; their latencies are in the list that it gives."""
    stop, (here, there), latencies = multiprocessing.Event(), multiprocessing.Pipe(False), []
    process = multiprocessing.Process(target=send_small, args=(address, stop, there))
    process.start()
    try:
        yield latencies
    finally:
        stop.set()
        if here.poll(30):
            latencies.extend(here.recv())
        process.join(30)


@contextlib.contextmanager
def turns(pid, wanted):
    """What strace saw of the worker, as a dictionary: `away`, the longest times that it was away from its loop, in seconds, longest first; `received` and
    `sent`, the most bytes that it moved in one turn of the loop."""
    found = {}
    if not wanted:
        yield found
        return
    thread = next(each for each in os.listdir(f"/proc/{pid}/task") if read_text(f"/proc/{pid}/task/{each}/comm").startswith("transom-worker"))
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as file:
        calls = "trace=io_uring_enter,epoll_wait,epoll_pwait,recvfrom,readv,read,sendto,writev,write"
        strace = subprocess.Popen(["strace", "-ttt", "-T", "-s", "0", "-e", calls, "-o", file.name, "-p", thread], stderr=subprocess.DEVNULL)
        time.sleep(1)
        try:
            yield found
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait(30)
        found.update(read_turns(file))


def read_text(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def read_turns(file):
    away, received, sent, end, moved = [], 0, 0, None, [0, 0]
    for line in file:
        match = re.match(r"(\d+\.\d+) (\w+)\(.* = (-?\d+).*<(\d+\.\d+)>$", line)
        if not match:
            continue
        start, name, result, took = float(match[1]), match[2], int(match[3]), float(match[4])
        if name in ("io_uring_enter", "epoll_wait", "epoll_pwait"):
            if end is not None:
                away.append(start - end)
            end, received, sent, moved = start + took, max(received, moved[0]), max(sent, moved[1]), [0, 0]
        elif result > 0:
            moved[not name.startswith("re")] += result
    return {"away": sorted(away, reverse=True), "received": received, "sent": sent}


def turn_cells(found):
    return [", ".join(milliseconds(gap) for gap in found["away"][:3]), f"{found['received'] / 1024:.0f}", f"{found['sent'] / 1024:.0f}"] if found else []


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def milliseconds(seconds):
    return f"{seconds * 1e3:.2f}"


def latency_cells(latencies):
    return [milliseconds(percentile(latencies, share)) for share in (0.5, 0.99, 0.999, 1)]


def row(name, cells):
    print("| " + " | ".join([name, *cells]) + " |", flush=True)


def measure(gateway, name, body, rounds, wants_turns):
    http, size = LongHttp(gateway.address), len(body) / MEBIBYTE
    expected = hashlib.sha256(json.dumps(json.loads(body), sort_keys=True).encode()).digest()
    times = []
    gateway.forget_peak()
    before = gateway.memory("VmRSS")
    with turns(gateway.process.pid, wants_turns) as found, small_requests(gateway.address) as latencies:
        time.sleep(PAUSE_SECONDS)
        for round_index in range(rounds):
            status, seconds, answer = http.echo(body)
            if status != 200:
                raise SystemExit(f"{name}: {status} {answer[:300]!r}")
            if round_index == 0:
                first = answer
            times.append(seconds)
    came = json.dumps({key: value for key, value in json.loads(first).items() if key in json.loads(body)}, sort_keys=True)
    if hashlib.sha256(came.encode()).digest() != expected:
        raise SystemExit(f"{name}: what came back is not what was sent")
    peak = gateway.memory("VmHWM")
    http.send("GET", SMALL)
    http.read_head()
    time.sleep(PAUSE_SECONDS)
    after = gateway.memory("VmRSS")
    cells = [f"{size:.1f}", milliseconds(statistics.median(times) / size), *latency_cells(latencies)]
    cells += [f"{peak - before:.0f}", f"{after - before:.0f}"]
    row(name, cells + turn_cells(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 4, 32])
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--io", default="auto")
    parser.add_argument("--turns", action="store_true")
    parser.add_argument("--transom")
    options = parser.parse_args()
    program = options.transom or os.path.join(TARGET, "release", "transom")
    if not options.transom:
        say("building")
        subprocess.run(["cargo", "build", "--release", "-p", "transom"], cwd=ROOT, check=True, timeout=BUILD_SECONDS)
    with contextlib.ExitStack() as stack:
        bookstore = Program([program, "demo", "--listen", "127.0.0.1:0", "--workers", "1"])
        stack.callback(bookstore.stop)
        file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".yaml"))
        file.write("limits: {request_message: 64MiB, response_message: 64MiB}\njson_defaults: omit\n")
        file.flush()
        host, port = bookstore.upstream
        arguments = ["serve", "--upstream", f"http://{host}:{port}", "--listen", "127.0.0.1:0", "--workers", "1", "--io", options.io, "--config", file.name]
        gateway = Program([program, *arguments])
        stack.callback(gateway.stop)
        titles = ["body", "MiB", "ms a MiB, there and back", "small p50 ms", "p99", "p99.9", "max", "peak MiB more", "MiB more after"]
        titles += ["longest away from the loop, ms", "KiB read in a turn", "KiB written"] if options.turns else []
        row(titles[0], titles[1:])
        row("---", ["---"] * (len(titles) - 1))
        with turns(gateway.process.pid, options.turns) as found, small_requests(gateway.address) as latencies:
            time.sleep(2)
        alone = ["0", "-", *latency_cells(latencies), "-", "-"]
        row("none", alone + turn_cells(found))
        for name in options.shapes:
            for size in options.sizes:
                say(f"{name}, {size} MiB")
                body = json.dumps(SHAPES[name](size * MEBIBYTE - 64), separators=(",", ":"), ensure_ascii=False).encode()
                measure(gateway, name, body, options.rounds, options.turns)


if __name__ == "__main__":
    main()
