#!/usr/bin/env python3
"""What connections and requests cost the gateway in memory, as Markdown tables.

    benches/memory/measure.py [--connections 5000] [--requests 10000000] [--io auto] [--settle 8] [--transom PROGRAM]

Builds Transom for release unless --transom names a program. `transom demo` is the upstream, a bookstore on tonic; a second process, `transom serve
--workers 1`, is the gateway whose VmRSS is read, each time after it was left alone for --settle seconds. Connections: opened and left without a byte; then
each sends one GET and one POST of 1 KB, whose answers are read and checked, and is idle again; then all are closed. Requests: wrk sends GETs and POSTs of
1 KB in turn over 64 connections that stay open, a tenth first, after which everything that is made once is there; the growth is counted from then on.
0 requests leaves this part out. Memory of the kernel is not counted. Nothing keeps running afterwards: every process is stopped by its own id.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Both have a file "measure"; that of the streams is meant.
for beside in ("gateways", "streams"):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), beside))

import builds  # noqa: E402
from measure import Program, connect  # noqa: E402

BODY = json.dumps({"stringValue": "x" * (1024 - len('{"stringValue": ""}'))}).encode()
GET = b"GET /v1/echo?stringValue=small HTTP/1.1\r\nHost: demo\r\n\r\n"
POST = b"POST /v1/echo HTTP/1.1\r\nHost: demo\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
LOAD_CONNECTIONS = 64
# How much longer wrk may run than it is thought to need.
LOAD_PARTS = 10

LOAD_SCRIPT = """
local get, post
local turn = 0
init = function()
    get = wrk.format("GET", "/v1/echo?stringValue=small", {["Host"] = "demo"})
    post = wrk.format("POST", "/v1/echo", {["Host"] = "demo", ["Content-Type"] = "application/json"}, [[%s]])
end
request = function()
    turn = turn + 1
    return turn %% 2 == 0 and get or post
end
""" % BODY.decode()


def allow_descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise SystemExit(f"{count} descriptors are needed; this process may have {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def read_answer(connection):
    """Reads one answer that says its length, and gives its body."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += receive(connection)
    head, body = answer.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    if not head.startswith(b"HTTP/1.1 200") or not length:
        raise RuntimeError(f"unexpected answer: {head!r}")
    while len(body) < int(length[1]):
        body += receive(connection)
    return body


def receive(connection):
    part = connection.recv(65536)
    if not part:
        raise RuntimeError("the gateway closed a connection")
    return part


def exchange(connections, request, expected):
    for connection in connections:
        connection.sendall(request)
        body = read_answer(connection)
        if expected not in body:
            raise RuntimeError(f"unexpected body: {body[:200]!r}")


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def measure_connections(gateway, count, settle):
    def settled():
        time.sleep(settle)
        return gateway.memory("VmRSS")

    # What is made with the first requests is no cost of a connection.
    with contextlib.closing(connect(gateway.address)) as first:
        exchange([first] * 200, GET, b'"small"')
        exchange([first] * 200, POST, b'"xxxx')
    row("", "RSS, MiB", "KiB a connection")
    row("---", "---", "---")
    before = settled()
    row("no connection", f"{before:.1f}", "")
    connections = [connect(gateway.address) for _ in range(count)]

    def say_each(what):
        now = settled()
        row(what, f"{now:.1f}", f"{(now - before) * 1024 / count:.2f}")

    try:
        say_each(f"{count:,} that have sent nothing")
        exchange(connections, GET, b'"small"')
        exchange(connections, POST, b'"xxxx')
        say_each("the same, after a GET and a POST of 1 KB each")
    finally:
        for connection in connections:
            connection.close()
    row("the same, closed", f"{settled():.1f}", "")


def load(gateway, requests, seconds_each):
    """Sends at least so many requests, and gives how many were answered, in how many seconds."""
    program, environment = builds.prepare_wrk()
    host, port = gateway.address
    answered = seconds = 0
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LOAD_SCRIPT)
        script.flush()
        while answered < requests:
            duration = max(2, round((requests - answered) * seconds_each))
            arguments = [program, "-t1", f"-c{LOAD_CONNECTIONS}", f"-d{duration}s", "-s", script.name, f"http://{host}:{port}"]
            run = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=duration * LOAD_PARTS + 60)
            if "Non-2xx" in run.stdout or "Socket errors" in run.stdout:
                raise RuntimeError(run.stdout)
            found = re.search(r"(\d+) requests in ([\d.]+)(m|s)", run.stdout)
            answered += int(found[1])
            seconds += float(found[2]) * (60 if found[3] == "m" else 1)
            seconds_each = seconds / answered
    return answered, seconds_each


def measure_requests(gateway, requests, settle):
    print(f"\nVmRSS over requests on {LOAD_CONNECTIONS} connections:\n")
    row("requests", "RSS, MiB", "growth, KiB", "bytes a request")
    row("---", "---", "---", "---")
    total, seconds_each = load(gateway, requests // 10, 1 / 50_000)
    time.sleep(settle)
    first, first_rss = total, gateway.memory("VmRSS")
    row(f"{first:,}", f"{first_rss:.2f}", "", "")
    for _part in range(3):
        answered, seconds_each = load(gateway, requests * 3 // 10, seconds_each)
        total += answered
        time.sleep(settle)
        growth = (gateway.memory("VmRSS") - first_rss) * 1024
        row(f"{total:,}", f"{first_rss + growth / 1024:.2f}", f"{growth:.0f}", f"{growth * 1024 / (total - first):.5f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=5000, choices=range(100, 9_001), metavar="100..9000")
    parser.add_argument("--requests", type=int, default=10_000_000, help="0 or at least 1000")
    parser.add_argument("--io", default="auto", choices=("auto", "uring", "epoll"))
    parser.add_argument("--settle", type=float, default=8)
    parser.add_argument("--transom", help="a built program, instead of building one")
    options = parser.parse_args()
    if 0 < options.requests < 1000:
        parser.error("--requests: expected 0 or at least 1000")
    allow_descriptors(options.connections * 2 + 1000)
    program = options.transom or builds.prepare_transom()
    with contextlib.ExitStack() as stack:
        demo = Program([program, "demo", "--listen", "127.0.0.1:0", "--workers", "1"])
        stack.callback(demo.stop)
        upstream = "http://%s:%d" % demo.upstream
        gateway = Program([program, "serve", "--workers", "1", "--io", options.io, "--listen", "127.0.0.1:0", "--upstream", upstream])
        stack.callback(gateway.stop)
        print(f"VmRSS of `transom serve --workers 1 --io {options.io}`:\n")
        measure_connections(gateway, options.connections, options.settle)
        if options.requests:
            measure_requests(gateway, options.requests, options.settle)


if __name__ == "__main__":
    main()
