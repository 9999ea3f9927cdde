#!/usr/bin/env python3
"""What long bodies cost, and what they cost the others on the same worker, as a Markdown table.

    benches/large/measure.py [--sizes 1 4 32] [--shapes ..] [--seconds 6] [--io auto] [--transom PROGRAM]

Builds Transom for release unless --transom names a program, and the load generator of benches/gateways with Go. `transom demo` is the upstream, a bookstore on tonic
that answers with the message it was sent; `transom serve --workers 1` with limits of 64 MiB is the gateway that is measured, and a second one is there for
comparison. Each row is one shape of body, of so many MiB of JSON: it goes there and comes back, which is checked, one after the other for --seconds.

Beside them go 1000 small requests a second, on a schedule, so that a stall is charged with all that were due in it: one half of them to a path that there is not,
which the gateway answers alone (404), the other half through the upstream, a bookstore on one thread, where they also wait for it to be done with what is long. All of them go to the
gateway that is measured. The long bodies go through it ("beside"), or through the other one ("apart"), which is on the same core: what "beside" takes longer is what
sharing a worker costs; what "apart" takes longer than nothing at all is what sharing the machine costs. The first rows are without long bodies, twice.

Gateways are on the first core, all else is on the second, if there are two; the client of the long bodies gives way to all others, and so does the load generator
to nobody, where that is permitted. On a machine that is busy with other things the tail is theirs: compare with the first rows.

"Turn" is what the worker's thread did without looking at what else had come, from the end of one wait for the kernel to the end of the next, as far as it was running. Its time is the worker's
own, whoever else wants the core; a small request is seen after one turn at most. "Waited" is how long the worker could have run while a thread of its own process that converts had its core. Both
are seen by perf, by tracepoints of the whole machine (`-` where that is not permitted, and with epoll); together they are what long bodies add to a small request, whatever else the machine does.
"CPU" is what the gateway's process used, all threads, for a MiB of JSON there and back. Nothing keeps running afterwards: every process is stopped by its own id.
"""

import argparse
import contextlib
import base64
import hashlib
import importlib.util
import json
import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BENCHES = os.path.dirname(HERE)

_spec = importlib.util.spec_from_file_location("streams_measure", os.path.join(BENCHES, "streams", "measure.py"))
streams = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(streams)
say = streams.say

MEBIBYTE = 1 << 20
SMALL = "/v1/echo?stringValue=small"
NOWHERE = "/there/is/no/such/path"
SMALL_RATE = 500
SMALL_CONNECTIONS = 4
WARM_UP_SECONDS = 0.5
PAUSE_SECONDS = 0.5
LONG_NICENESS, LOAD_NICENESS = 10, -10
EVENTS = ("sched:sched_switch", "sched:sched_wakeup", "syscalls:sys_exit_io_uring_enter")
PERF_START_SECONDS = 0.5


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


class LongHttp(streams.Http):
    """The same with time for what is long."""

    def echo(self, body):
        """Sends the body, and gives the status, the seconds that it took, and the answer."""
        start = time.perf_counter()
        self.send("POST", "/v1/echo", body)
        status, headers = self.read_head()
        answer = self.input.read(int(headers["content-length"]))
        return status, time.perf_counter() - start, answer


class Cores:
    """Which core is for what; the same for all where there is but one."""

    def __init__(self):
        allowed = sorted(os.sched_getaffinity(0))
        self.gateway, self.others = {allowed[0]}, {allowed[-1]}

    def of(self, core, niceness=0):
        """What a process does before it starts."""

        def prepare():
            os.sched_setaffinity(0, core)
            with contextlib.suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, 0, niceness)

        return prepare


def start(cores, core, arguments):
    """A process of transom on one core: what a process starts is on its core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, core)
    try:
        return streams.Program(arguments)
    finally:
        os.sched_setaffinity(0, before)


def send_long(address, body, seconds, pipe):
    """Sends the body again and again for so long, giving way to others; tells how long each took, and the first answer."""
    os.nice(LONG_NICENESS)
    http, times, first = LongHttp(address), [], None
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 2:
        status, took, answer = http.echo(body)
        if status != 200:
            pipe.send((f"{status} {answer[:300]!r}", times, b""))
            return
        first = first or answer
        times.append(took)
    pipe.send((None, times, first))


def run_long(address, body, seconds):
    """Their times, and the first answer."""
    here, there = multiprocessing.Pipe(False)
    process = multiprocessing.Process(target=send_long, args=(address, body, seconds, there))
    process.start()
    there.close()
    try:
        fault, times, answer = here.recv()
    except EOFError:
        raise SystemExit("the client of the long bodies ended") from None
    finally:
        process.join(30)
    if fault:
        raise SystemExit(fault)
    return times, answer


class Small:
    """Small requests for so long; their latencies afterwards."""

    def __init__(self, cores, load, address, seconds):
        arguments = [load, "-address", "%s:%d" % address, "-rate", str(SMALL_RATE), "-connections", str(SMALL_CONNECTIONS)]
        arguments += ["-warm-up", f"{WARM_UP_SECONDS}s", "-duration", f"{seconds}s"]
        prepare = cores.of(cores.others, LOAD_NICENESS)
        self.processes = [
            subprocess.Popen([*arguments, *which], stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=prepare)
            for which in (["-path", NOWHERE, "-status", "404"], ["-path", SMALL])
        ]

    def results(self):
        found = []
        for process in self.processes:
            out, errors = process.communicate(timeout=120)
            if process.returncode:
                raise SystemExit(f"small requests: {errors.decode()}")
            found.append(json.loads(out))
        return found

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


class Seen:
    """What perf saw of a worker, in seconds: its turns, and how long it waited for threads that convert each time when it wanted to run."""

    def __init__(self, worker=0, converting=(), script=""):
        self.turns, self.waits = [], []
        spent = waited = mark = 0
        since, core, is_waiting = None, None, False
        for line in script.splitlines():
            match = re.match(r"\s*(\d+)\s+\[(\d+)\]\s+(\d+)\.(\d{9}):\s+(\S+?):\s+(.*)$", line)
            if not match:
                continue
            now, what = int(match[3]) * 10**9 + int(match[4]), match[6]
            if "io_uring_enter" in match[5]:
                if int(match[1]) == worker:
                    if since is not None:
                        self.turns.append((spent + now - since) / 1e9)
                    spent, since = 0, now
            elif "wakeup" in match[5]:
                if since is None and not is_waiting and f" pid={worker} " in what:
                    is_waiting, waited, mark = True, 0, now
            elif switch := re.search(r"prev_pid=(\d+) .*prev_state=(\S+) ==> .*next_pid=(\d+) ", what):
                before, after = int(switch[1]), int(switch[3])
                if is_waiting and match[2] == core:
                    waited, mark = waited + (now - mark if before in converting else 0), now
                if before == worker:
                    core = match[2]
                    if since is not None:
                        spent, since = spent + now - since, None
                    if switch[2].startswith("R"):
                        is_waiting, waited, mark = True, 0, now
                if after == worker:
                    core, since = match[2], now
                    if is_waiting:
                        self.waits.append(waited / 1e9)
                        is_waiting = False
        # The first one may have begun before.
        del self.turns[:1]

    def cells(self):
        if not self.turns or not self.waits:
            return ["-"] * 5
        turns, waits = sorted(self.turns), sorted(self.waits)
        cells = [f"{len(turns):,}", *(milliseconds(values[int(0.999 * (len(values) - 1))]) for values in (turns, waits))]
        return [cells[0], cells[1], milliseconds(turns[-1]), cells[2], milliseconds(waits[-1])]


@contextlib.contextmanager
def watched(program):
    """What perf saw of the worker of a program while the context lived, in the list that it gives."""
    pid, found = program.process.pid, []
    names = {int(each): read_text(f"/proc/{pid}/task/{each}/comm") for each in os.listdir(f"/proc/{pid}/task")}
    worker = next(thread for thread, name in names.items() if name.startswith("transom-worker"))
    converting = {thread for thread, name in names.items() if name.startswith("transom-aside")}
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "perf")
        try:
            perf = subprocess.Popen(["perf", "record", "-q", "-o", file, "-m", "2048", "-a", "-e", ",".join(EVENTS)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            yield found
            found.append(Seen())
            return
        time.sleep(PERF_START_SECONDS)
        try:
            yield found
        finally:
            perf.send_signal(signal.SIGINT)
            perf.wait(60)
        script = subprocess.run(["perf", "script", "-i", file, "--ns", "-F", "tid,cpu,time,event,trace"], capture_output=True, text=True, check=False)
        found.append(Seen(worker, converting, script.stdout))


def read_text(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def cpu_seconds(program):
    fields = read_text(f"/proc/{program.process.pid}/stat").rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(seconds):
    return f"{seconds * 1e3:.2f}"


def row(name, cells):
    print("| " + " | ".join([name, *cells]) + " |", flush=True)


def small_cells(results):
    return [" / ".join(f"{result[what]:.2f}" for what in ("p50_ms", "p99_ms", "p999_ms", "max_ms")) for result in results]


def beside_nothing(cores, load, gateway, seconds):
    with watched(gateway) as found:
        small = Small(cores, load, gateway.address, seconds)
        try:
            results = small.results()
        finally:
            small.stop()
    row("none", ["0", "-", "-", *found[0].cells(), "beside nothing", *small_cells(results), "-", "-"])


def measure(cores, load, gateways, name, body, seconds):
    gateway, other = gateways
    size = len(body) / MEBIBYTE
    expected = json.loads(body)
    for where, carrier in (("apart", other), ("beside", gateway)):
        run_long(carrier.address, body, 0)
        time.sleep(PAUSE_SECONDS)
        gateway.forget_peak()
        before, used = gateway.memory("VmRSS"), cpu_seconds(carrier)
        with watched(gateway) as found:
            small = Small(cores, load, gateway.address, seconds)
            try:
                times, answer = run_long(carrier.address, body, seconds + WARM_UP_SECONDS)
                results = small.results()
            finally:
                small.stop()
        used = cpu_seconds(carrier) - used
        came = {key: value for key, value in json.loads(answer).items() if key in expected}
        if digest(came) != digest(expected):
            raise SystemExit(f"{name}: what came back is not what was sent")
        peak = gateway.memory("VmHWM")
        time.sleep(2 * PAUSE_SECONDS)
        after = gateway.memory("VmRSS")
        cells = [f"{size:.1f}", milliseconds(statistics.median(times) / size), milliseconds(used / len(times) / size), *found[0].cells()]
        row(name, [*cells, where, *small_cells(results), f"{peak - before:.0f}", f"{after - before:.0f}"])


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()


def build_load(folder):
    """The load generator, which needs nothing of what the gateways' benchmark generates."""
    program = os.path.join(folder, "load")
    source = os.path.join(BENCHES, "gateways", "go")
    subprocess.run(["go", "build", "-trimpath", "-mod=readonly", "-o", program, "./load"], cwd=source, check=True, timeout=streams.BUILD_SECONDS)
    return program


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 4, 32])
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES))
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--io", default="auto")
    parser.add_argument("--transom")
    options = parser.parse_args()
    program = options.transom or os.path.join(streams.TARGET, "release", "transom")
    if not options.transom:
        say("building")
        subprocess.run(["cargo", "build", "--release", "-p", "transom"], cwd=streams.ROOT, check=True, timeout=streams.BUILD_SECONDS)
    cores = Cores()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        load = build_load(folder)
        bookstore = start(cores, cores.others, [program, "demo", "--listen", "127.0.0.1:0", "--workers", "1"])
        stack.callback(bookstore.stop)
        file = os.path.join(folder, "transom.yaml")
        with open(file, "w", encoding="ascii") as config:
            config.write("limits: {request_message: 64MiB, response_message: 64MiB}\njson_defaults: omit\n")
        host, port = bookstore.upstream
        arguments = ["serve", "--upstream", f"http://{host}:{port}", "--listen", "127.0.0.1:0", "--workers", "1", "--io", options.io, "--config", file]
        gateways = []
        for _ in range(2):
            gateways.append(start(cores, cores.gateway, [program, *arguments]))
            stack.callback(gateways[-1].stop)
        os.sched_setaffinity(0, cores.others)
        titles = ["body", "MiB", "ms a MiB, there and back", "CPU ms a MiB", "turns", "turn p99.9 ms", "longest", "waited p99.9 ms", "longest", "small requests", "answered by the gateway: p50 / p99 / p99.9 / max ms"]
        titles += ["through the upstream: the same", "peak MiB more", "MiB more after"]
        row(titles[0], titles[1:])
        row("---", ["---"] * (len(titles) - 1))
        for _ in range(2):
            beside_nothing(cores, load, gateways[0], options.seconds)
        for name in options.shapes:
            for size in options.sizes:
                say(f"{name}, {size} MiB")
                body = json.dumps(SHAPES[name](size * MEBIBYTE - 64), separators=(",", ":"), ensure_ascii=False).encode()
                measure(cores, load, gateways, name, body, options.seconds)


if __name__ == "__main__":
    main()
