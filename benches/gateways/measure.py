"""The two ways of loading a gateway: as fast as it answers, by wrk, and at a constant rate, by the program in go/load."""

import json
import os
import subprocess
import time

import builds
import gateways
import workloads

WARM_UP_SECONDS = 1
FRACTIONS = (0.3, 0.5, 0.7, 0.9)
REPLY_SECONDS = 60


class Failure(Exception):
    """A run that does not count; the text goes into the table."""


class Cell:
    """What a table has one group of rows for."""

    def __init__(self, workload, connections, schema):
        self.workload, self.connections, self.schema = workload, connections, schema

    def __str__(self):
        return f"{self.workload.title}, {count(self.connections, 'connection')}, {self.schema.count:,} routes"


def count(number, noun):
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class Loader:
    """`folder` is for bodies that load generators read from files."""

    def __init__(self, options, cores, folder):
        self.options, self.cores, self.folder = options, cores, folder
        self.wrk, self.wrk_environment = builds.prepare_wrk()

    def checked(self, gateway, cell, action):
        """Starts the gateway, checks its answers, does `action(stand, body_length)`, and checks them again."""
        workload = cell.workload
        try:
            with gateways.Stand(gateway, cell.schema, self.cores) as stand:
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
            ["taskset", "-c", self.cores.load, self.wrk, "--threads", "1", "--connections", str(cell.connections), "--duration", f"{seconds}s",
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

    def paced(self, gateway, cell, rate, seconds):
        """Latencies at `rate` through the gateway, and by plain gRPC to the server behind it."""

        def both(stand, length):
            found = self._generate(stand.address, cell, rate, seconds, length)
            if not gateway.is_plain:
                found["plain"] = self._generate(stand.upstream_address, cell, rate, seconds, None)
            return found

        return self.checked(gateway, cell, both)

    def _generate(self, address, cell, rate, seconds, length):
        """One run of go/load; plain gRPC if no length of a body is given."""
        workload, arguments = cell.workload, []
        if length is None:
            path, message, value = workload.call
            arguments = ["-grpc", "-path", path, "-body", self._message_file(cell, message, value)]
        else:
            arguments = ["-method", workload.method, "-path", workload.paths[0], "-length", str(length), "-body", self._body_file(workload.key, workload.body)]
        load = subprocess.Popen(
            ["taskset", "-c", self.cores.load, os.path.join(builds.prepare_go(), "load"), "-address", address, "-rate", f"{rate:.3f}",
             "-connections", str(cell.connections), "-warm-up", f"{WARM_UP_SECONDS}s", "-duration", f"{seconds}s", *arguments],
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
