"""What is measured of a gateway: as fast as it answers, by wrk; at a constant rate, by the program in go/load; how its memory grows; how fast it starts."""

import contextlib
import json
import math
import os
import subprocess
import time

import builds
import gateways
import processes
import report
import workloads

WARM_UP_SECONDS = 1
FRACTIONS = (0.3, 0.5, 0.7, 0.9)
# So much of the rate must have been answered within the time, for a latency to mean anything.
KEPT = 0.98
REPLY_SECONDS = 60
# wrk ends by time, not by requests, and is started again until there are enough.
GROWTH_RUN_SECONDS = 30


class Failure(Exception):
    """A run that does not count; the text goes into the table."""


class Cell:
    """What a table has one group of rows for."""

    def __init__(self, workload, connections, schema, workers=1):
        self.workload, self.connections, self.schema, self.workers = workload, connections, schema, workers
        # What may grow from one cell to another, with the noun for it.
        self.sizes = {"connection": connections, "route": schema.count, "worker": workers}

    def __str__(self):
        workers = "" if self.workers == 1 else ", " + report.count(self.workers, "worker")
        return f"{self.workload.title}, {report.count(self.connections, 'connection')}, {report.count(self.schema.count, 'route')}{workers}"


class Loader:
    """`folder` is for bodies that load generators read from files."""

    def __init__(self, options, cores, folder):
        self.options, self.cores, self.folder = options, cores, folder
        self.wrk, self.wrk_environment = builds.prepare_wrk()

    def checked(self, gateway, cell, action):
        """Starts the gateway, checks its answers, does `action(stand, body_length)`, and checks them again."""
        workload = cell.workload
        try:
            with gateways.Stand(gateway, cell.schema, self.cores.with_workers(cell.workers), self.options.upstream) as stand:
                length = workload.check(gateway.name, stand.address)
                found = action(stand, length)
                workload.check(gateway.name, stand.address)
                return found
        except workloads.WrongAnswer as error:
            raise Failure(f"wrong answer: {error}") from error
        except (OSError, RuntimeError, ValueError) as error:
            raise Failure(f"{type(error).__name__}: {error}") from error

    # As fast as it answers.

    def closed(self, gateway, cell, seconds):
        return self.checked(gateway, cell, lambda stand, length: self._closed(stand, cell, seconds, length))

    def _closed(self, stand, cell, seconds, length):
        """CPU time and requests are counted between two moments of one run, when all connections are open and warm."""
        self._finish(self._start_wrk(stand, cell, WARM_UP_SECONDS), stand, length, WARM_UP_SECONDS)
        ramp = 0.5 if cell.connections <= 1000 else 3
        whole = int(ramp + seconds + 1)
        wrk = self._start_wrk(stand, cell, whole)
        try:
            time.sleep(ramp)
            before = self._sample(stand)
            time.sleep(seconds)
            after = self._sample(stand)
            rss = stand.program.rss_mib()
            totals = self._finish(wrk, stand, length, whole)
        finally:
            wrk.kill()
            wrk.communicate()
        requests = after[1] - before[1]
        if not requests:
            raise Failure(f"no request was answered in {seconds} s")
        return {
            "rate": requests / (after[0] - before[0]), "cpu_us": (after[2] - before[2]) * 1e6 / requests, "rss_mib": rss,
            **{name: totals[name] for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms")},
        }  # fmt: skip

    def _sample(self, stand):
        return time.monotonic(), stand.answered(), stand.program.cpu_seconds()

    def _start_wrk(self, stand, cell, seconds):
        workload = cell.workload
        environment = {
            **self.wrk_environment, "LOAD_METHOD": workload.method, "LOAD_BODY": self._body_file(workload.key, workload.body),
            "LOAD_PATHS": "\n".join(workload.paths),
        }  # fmt: skip
        return subprocess.Popen(
            [*processes.pinned(self.cores.load), self.wrk, "--threads", "1", "--connections", str(cell.connections), "--duration", f"{seconds}s",
             "--timeout", "20s", "--script", os.path.join(builds.HERE, "load.lua"), f"http://{stand.address}{workload.paths[0]}"],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
        )  # fmt: skip

    def _finish(self, wrk, stand, length, seconds):
        try:
            text, errors = wrk.communicate(timeout=seconds + REPLY_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failure("wrk did not end") from None
        finally:
            wrk.kill()
        lines = [line for line in text.splitlines() if line.startswith("totals ")]
        if not lines:
            raise Failure(f"wrk said: {(errors or text).strip()[:200]}")
        totals = json.loads(lines[0][len("totals ") :])
        if totals["errors"]:
            kinds = ", ".join(f"{kind} {totals[kind]}" for kind in ("connect", "read", "write", "status", "timeout") if totals[kind])
            raise Failure(f"{totals['errors']} of {totals['requests']} requests failed ({kinds})")
        # wrk does not look into bodies. That all came is seen in the bytes; heads and chunk sizes come on top.
        if totals["requests"] and totals["bytes"] < totals["requests"] * length:
            raise Failure(f"wrong answer: {totals['bytes'] // totals['requests']} bytes a request, at least {length} expected")
        return totals

    def _body_file(self, name, body):
        if body is None:
            return ""
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.write(body)
        return path

    # At a constant rate.

    def peak(self, gateway, cell, seconds):
        """Requests a second by the generator that the rates below are kept with."""
        return self.checked(gateway, cell, lambda stand, length: self._generate(stand.address, cell, 0, seconds, length))["rate"]

    def paced(self, gateway, cell, rate, seconds, is_first):
        """Latencies at `rate` through the gateway, and by plain gRPC to the server behind it; which of the two is first turns from round to round."""

        def both(stand, length):
            found, plain = {}, {}
            runs = [lambda: found.update(self._generate(stand.address, cell, rate, seconds, length))]
            if not gateway.is_plain:
                runs.insert(len(runs) if is_first else 0, lambda: plain.update(self._plain(stand, cell, rate, seconds)))
            for run in runs:
                run()
            return {**found, "plain": plain} if plain else found

        return self.checked(gateway, cell, both)

    def _plain(self, stand, cell, rate, seconds):
        """That plain gRPC does not do is no failure of the gateway, but there is nothing to compare it with."""
        try:
            found = self._generate(stand.upstream_address, cell, rate, seconds, None)
        except Failure as reason:
            return {"failure": str(reason)}
        if found["rate"] < KEPT * rate:
            return {"failure": f"at its end with {found['rate']:,.0f} a second", **found}
        return found

    def _generate(self, address, cell, rate, seconds, length):
        """One run of go/load; plain gRPC if no length of a body is given."""
        workload = cell.workload
        if length is None:
            path, message, value = workload.call
            # As many calls at a time as there are requests, over as many connections or over fewer.
            connections = min(self.options.grpc_connections or cell.connections, cell.connections)
            arguments = ["-grpc", "-path", path, "-body", self._message_file(cell, message, value), "-length", str(workload.wire_length),
                         "-connections", str(connections), "-lanes", str(math.ceil(cell.connections / connections))]  # fmt: skip
        else:
            arguments = ["-method", workload.method, "-path", workload.paths[0], "-length", str(length), "-body", self._body_file(workload.key, workload.body),
                         "-connections", str(cell.connections)]  # fmt: skip
        load = subprocess.Popen(
            [*processes.pinned(self.cores.load), os.path.join(builds.prepare_go(), "load"), "-address", address, "-rate", f"{rate:.3f}",
             "-warm-up", f"{WARM_UP_SECONDS}s", "-duration", f"{seconds}s", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
        )  # fmt: skip
        try:
            text, errors = load.communicate(timeout=seconds + REPLY_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failure("the load generator did not end") from None
        finally:
            load.kill()
        if load.returncode:
            raise Failure(errors.strip()[:200])
        return json.loads(text)

    def _message_file(self, cell, message, value):
        path = os.path.join(self.folder, f"{cell.workload.key}.wire")
        if not os.path.exists(path):
            _, descriptor_set = builds.prepare_schema(cell.schema)
            with open(path, "wb") as file:
                subprocess.run([builds.prepare_python(), os.path.join(builds.HERE, "encode.py"), descriptor_set, message],
                               input=json.dumps(value).encode(), stdout=file, check=True, timeout=60)  # fmt: skip
        return path

    # How its memory grows.

    def growth(self, gateway, cell, requests):
        return self.checked(gateway, cell, lambda stand, length: self._growth(stand, cell, requests, length))

    def _growth(self, stand, cell, requests, length):
        """Memory after each tenth of the requests, under load."""
        steps = [(0, stand.program.rss_mib())]
        wrk = None
        try:
            while len(steps) <= report.GROWTH_STEPS:
                if wrk is None or wrk.poll() is not None:
                    if wrk:
                        self._finish(wrk, stand, length, 0)
                    wrk = self._start_wrk(stand, cell, GROWTH_RUN_SECONDS)
                answered = stand.answered()
                if answered >= requests * len(steps) // report.GROWTH_STEPS:
                    steps.append((answered, stand.program.rss_mib()))
                time.sleep(0.1)
        finally:
            if wrk:
                wrk.kill()
                wrk.communicate()
        return {"steps": steps}

    # How it starts.

    def start(self, gateway, cell):
        """From before the program is started until it has answered a request rightly, the last of the routes that are asked."""
        path = cell.workload.paths[-1]
        try:
            with gateways.Stand(gateway, cell.schema, self.cores.with_workers(cell.workers), self.options.upstream) as stand:
                listening = time.monotonic()
                stand.program.wait_until(lambda: self._is_answered(gateway, cell, stand.address, path))
                ready = time.monotonic()
                cell.workload.check(gateway.name, stand.address)
                return {
                    "listening_ms": (listening - stand.started) * 1e3, "ready_ms": (ready - stand.started) * 1e3,
                    "cpu_ms": stand.program.cpu_seconds() * 1e3, "rss_mib": stand.program.rss_mib(),
                }  # fmt: skip
        except workloads.WrongAnswer as error:
            raise Failure(f"wrong answer: {error}") from error
        except (OSError, RuntimeError, ValueError) as error:
            raise Failure(f"{type(error).__name__}: {error}") from error

    def _is_answered(self, gateway, cell, address, path):
        """A gateway may listen before it can answer, and say so by an error."""
        with contextlib.suppress(workloads.WrongAnswer):
            return cell.workload.check_path(gateway.name, address, path)
