#!/usr/bin/env python3
"""Compares gateways in front of one grpc-go server: requests a second, p99 and CPU a request, as a Markdown table.

    benches/gateways/compare.py [--rounds 3] [--seconds 5] [--only NAME,NAME] [--transom PROGRAM]

Builds what it needs (Transom for release unless --transom names a program; grpc-gateway v2 and the upstream with Go;
generated code, wrk and protoc's plugins go to target/). The gateway under load has core 0 to itself, wrk and the
upstream share core 1. Answers are checked before anything is timed. Rounds are interleaved (A B C A B C), and
`transom again` is a second process of the same program: the distance between the two rows is the noise of the run.
Nothing keeps running afterwards: every process is stopped by its own id.
"""

import argparse
import contextlib
import glob
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
TOOLS = os.path.join(TARGET, "tools")
BUILD = os.path.join(TARGET, "gateways")

GATEWAY_CORE, LOAD_CORE = "0", "1"
CONNECTIONS = 64
WARM_UP_SECONDS = 2
START_SECONDS = 30
STOP_SECONDS = 10
BUILD_SECONDS = 1800
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

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
# A workload: name, method, path, body, and the answer by meaning.
WORKLOADS = [
    ("GET small", "GET", "/v1/hello/Ada", None, {"message": "Hello Ada!"}),
    ("POST 1 KB", "POST", "/v1/echo", json.dumps(NOTE, ensure_ascii=False), NOTE),
]


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(arguments, **options):
    options.setdefault("timeout", BUILD_SECONDS)
    subprocess.run(arguments, check=True, stdin=subprocess.DEVNULL, **options)


# What is needed, and where it comes from.


def prepare_python():
    """The environment that the end-to-end tests use too, made the same way."""
    folder = os.path.join(TOOLS, "python")
    program = os.path.join(folder, "bin", "python3")
    requirements = os.path.join(ROOT, "proxy", "tests", "python", "requirements.txt")
    stamp = os.path.join(folder, "requirements.txt")
    wanted = read(requirements)
    if not os.path.exists(stamp) or read(stamp) != wanted:
        say("installing grpcio-tools for protoc (once)")
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", folder])
        run([program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements])
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(wanted)
    return program


def prepare_wrk():
    """wrk's command and its environment: the system's, or Debian's package unpacked beside the tests' tools."""
    program = shutil.which("wrk")
    if program:
        return program, dict(os.environ)
    folder = os.path.join(TOOLS, "wrk")
    if not os.path.exists(folder):
        say("fetching the Debian package wrk into target/tools")
        unfinished = folder + ".unfinished"
        downloads = os.path.join(unfinished, "downloads")
        os.makedirs(downloads, exist_ok=True)
        try:
            run(["apt-get", "download", "wrk", "libluajit-5.1-2"], cwd=downloads)
        except (subprocess.CalledProcessError, FileNotFoundError):
            sys.exit("wrk is not here and cannot be fetched; run: apt-get update && apt-get install wrk")
        for package in glob.glob(os.path.join(downloads, "*.deb")):
            run(["dpkg", "-x", package, unfinished])
        os.rename(unfinished, folder)
    libraries = glob.glob(os.path.join(folder, "usr", "lib", "*", ""))
    return os.path.join(folder, "usr", "bin", "wrk"), {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}


def prepare_go():
    """Builds grpc-gateway and the upstream from a copy of their source, beside which the code of hello.proto is generated."""
    say("building grpc-gateway and the upstream with Go")
    source = os.path.join(BUILD, "source")
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(os.path.join(HERE, "grpc-gateway"), source)
    programs = os.path.join(BUILD, "bin")
    environment = {**os.environ, "GOBIN": programs}
    run(["go", "install", "-mod=mod", "tool"], cwd=source, env=environment)
    generated = os.path.join(source, "hello")
    os.makedirs(generated)
    package = "Mhello.proto=transom.test/gateways/hello"
    run([
        prepare_python(), os.path.join(HERE, "generate.py"), os.path.join(ROOT, "protos", "test"), "hello.proto",
        *(f"--plugin=protoc-gen-{name}={programs}/protoc-gen-{name}" for name in ("go", "go-grpc", "grpc-gateway")),
        f"--go_out={generated}", f"--go_opt=paths=source_relative,{package}",
        f"--go-grpc_out={generated}", f"--go-grpc_opt=paths=source_relative,{package}",
        f"--grpc-gateway_out={generated}", f"--grpc-gateway_opt=paths=source_relative,generate_unbound_methods=true,{package}",
    ])  # fmt: skip
    run(["go", "build", "-mod=readonly", "-o", os.path.join(programs, "grpc-gateway"), "."], cwd=source)
    run(["go", "build", "-mod=readonly", "-o", os.path.join(programs, "upstream"), "./upstream"], cwd=source)
    return os.path.join(programs, "grpc-gateway"), os.path.join(programs, "upstream")


def prepare_transom():
    say("building transom for release")
    run(["cargo", "build", "--release", "--locked", "--quiet", "-p", "transom"], cwd=ROOT)
    return os.path.join(TARGET, "release", "transom")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


# Processes.


class Server:
    """A program that says `listening on http://ADDRESS` on its standard error."""

    def __init__(self, name, core, arguments):
        self.name = name
        self.lines = []
        self._address = None
        self._heard = threading.Event()
        self.process = subprocess.Popen(
            ["taskset", "-c", core, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stderr:
            self.lines = [*self.lines[-50:], line]
            if "listening on http://" in line and not self._address:
                self._address = line.split("listening on http://")[1].split()[0].rstrip("/")
                self._heard.set()
        self._heard.set()

    def address(self):
        self._heard.wait(START_SECONDS)
        if not self._address:
            raise RuntimeError(f"{self.name} is not ready after {START_SECONDS} s: {''.join(self.lines)}")
        return self._address

    def cpu_seconds(self):
        # taskset replaces itself by the program, so the process id is the program's own.
        fields = read(f"/proc/{self.process.pid}/stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def rss_mib(self):
        line = next(line for line in read(f"/proc/{self.process.pid}/status").splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def stop(self):
        for end in (self.process.terminate, self.process.kill):
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
                return


# Checking and measuring.


def check(server):
    for name, method, path, body, expected in WORKLOADS:
        request = urllib.request.Request(
            f"http://{server.address()}{path}", method=method,
            data=body.encode() if body else None, headers={"Content-Type": "application/json"} if body else {},
        )  # fmt: skip
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=START_SECONDS) as reply:
            found = json.load(reply)
        if found != expected:
            raise RuntimeError(f"{server.name} answers {name} with {found}, expected {expected}")


def load(wrk, server, workload, seconds):
    """One run of wrk; returns requests a second, p99 in ms and CPU microseconds a request."""
    name, method, path, body, _ = workload
    program, environment = wrk
    before = server.cpu_seconds()
    result = subprocess.run(
        ["taskset", "-c", LOAD_CORE, program, "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s",
         "--timeout", "5s", "--script", os.path.join(HERE, "load.lua"), f"http://{server.address()}{path}"],
        env={**environment, "LOAD_METHOD": method, "LOAD_BODY": body or ""},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 60, check=True,
    )  # fmt: skip
    cpu = server.cpu_seconds() - before
    totals = json.loads(next(line for line in result.stdout.splitlines() if line.startswith("totals "))[len("totals "):])
    if totals["errors"] or not totals["requests"]:
        raise RuntimeError(f"{server.name}, {name}: {totals}")
    return totals["requests"] / totals["seconds"], totals["p99_ms"], cpu * 1e6 / totals["requests"]


def measure(wrk, servers, rounds, seconds):
    figures = {}
    for workload in WORKLOADS:
        for server in servers:
            load(wrk, server, workload, WARM_UP_SECONDS)
        for number in range(rounds):
            for server in servers:
                say(f"{workload[0]}, round {number + 1} of {rounds}: {server.name}")
                figures.setdefault((server.name, workload[0]), []).append(load(wrk, server, workload, seconds))
    return figures


def show_table(figures, servers, rounds, seconds):
    print(f"{CONNECTIONS} connections, {rounds} interleaved rounds of {seconds} s, medians (and ranges); gateway on core {GATEWAY_CORE}, "
          f"wrk and a grpc-go upstream on core {LOAD_CORE}.\n")  # fmt: skip
    print("| gateway | workload | requests/s | p99 ms | CPU µs a request | RSS MiB at the end |")
    print("|---|---|---|---|---|---|")
    for workload in WORKLOADS:
        for server in servers:
            rates, tails, costs = zip(*figures[server.name, workload[0]])
            print(f"| {server.name} | {workload[0]} | {spread(rates, 0)} | {spread(tails, 1)} | {spread(costs, 1)} | {server.rss_mib():.0f} |")


def spread(values, digits):
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="1..20")
    parser.add_argument("--seconds", type=int, default=5, choices=range(1, 61), metavar="1..60")
    parser.add_argument("--only", help="the rows wanted, by commas: transom, transom again, grpc-gateway")
    parser.add_argument("--transom", help="a built program, instead of building one")
    options = parser.parse_args()
    if os.cpu_count() < 2:
        sys.exit("two cores are needed: one for the gateway, one for the load and the upstream")
    # SIGTERM must pass through the clean-up below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    wanted = options.only.split(",") if options.only else ["transom", "transom again", "grpc-gateway"]
    rival, upstream_program = prepare_go()
    transom = options.transom or (prepare_transom() if any(name.startswith("transom") for name in wanted) else None)
    wrk = prepare_wrk()
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            server = Server(*arguments)
            stack.callback(server.stop)
            return server

        upstream = start("upstream", LOAD_CORE, [upstream_program]).address()
        commands = {
            "transom": [transom, "serve", "--listen", "127.0.0.1:0", "--upstream", f"http://{upstream}"],
            "grpc-gateway": [rival, "-upstream", upstream],
        }
        commands["transom again"] = commands["transom"]
        servers = [start(name, GATEWAY_CORE, commands[name]) for name in wanted]
        for server in servers:
            check(server)
        figures = measure(wrk, servers, options.rounds, options.seconds)
        show_table(figures, servers, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
