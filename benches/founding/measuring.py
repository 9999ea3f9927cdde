"""One measurement: a server, perhaps a gateway before it, and the client; all started anew, checked, counted and stopped."""

import contextlib
import dataclasses
import http.client
import json
import os
import socket
import subprocess
import threading
import time

from preparation import PROTO, PROTO_FOLDER, SERVERS
from processes import START_SECONDS, Server, difference

EXPECTED = {"message": "Hello Ada!"}
DRAIN_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Setup:
    """What is measured. `name` is its row; equal setups with different names tell the noise."""

    name: str
    # sync, aio, uvicorn, uvicorn-h11 or granian; and what follows on its command line.
    server: str
    server_options: tuple = ()
    # Of the Starlette stacks.
    server_workers: int = 2
    # None, grpc-gateway or transom; and what follows on its command line.
    gateway: str | None = None
    gateway_options: tuple = ()
    # Of the client: HTTP/1.1 if there is a gateway or a REST server, gRPC else.
    connections: int = 100
    streams: int = 1
    # Requests a second that are sent whether answers come or not; None: a request follows an answer.
    rate: int | None = None
    # Programs that only spin, beside the others.
    spinning: int = 0
    # The servers put the times of the handler into their answers.
    stamps: bool = False
    # What stands before the command: `taskset -c 1`, `nice -n -5`.
    server_prefix: tuple = ()
    gateway_prefix: tuple = ()
    client_prefix: tuple = ()
    gateway_environment: tuple = ()
    # Server and gateway each in a session of its own.
    own_session: bool = False
    # The row that this one is divided by.
    base: str | None = None

    def is_grpc(self):
        return self.server in ("sync", "aio")

    def over_http(self):
        return bool(self.gateway) or not self.is_grpc()


class Bench:
    """The programs, and how long each measurement takes."""

    def __init__(self, python, modules, load, gateway, transom, warm_up, seconds):
        self.python, self.modules, self.load, self.gateway, self.transom = python, modules, load, gateway, transom
        self.warm_up, self.seconds = warm_up, seconds

    def measure(self, setup):
        with contextlib.ExitStack() as stack:

            def start(*arguments, **options):
                server = Server(*arguments, own_session=setup.own_session, **options)
                stack.callback(server.stop)
                return server

            roles = {"server": self._start_server(setup, start)}
            if setup.gateway:
                roles["gateway"] = self._start_gateway(setup, start, roles["server"].address())
            for _ in range(setup.spinning):
                start(f"{setup.name}: spinning", [self.python, "-c", "while True: pass"], {}, address="")
            front = roles.get("gateway", roles["server"])
            if setup.over_http():
                check(front, setup)
            return self._load(setup, front.address(), roles)

    def _start_server(self, setup, start):
        environment = {"PYTHONPATH": os.pathsep.join([self.modules, SERVERS]), "PYTHONDONTWRITEBYTECODE": "1"}
        if setup.stamps:
            environment["FOUNDING_STAMPS"] = "1"
        prefix = [*setup.server_prefix, self.python]
        if setup.is_grpc():
            program = os.path.join(SERVERS, f"greet_{setup.server}.py")
            return start(setup.name, [*prefix, program, *setup.server_options], environment)
        port = free_port()
        workers = str(setup.server_workers)
        # No access log, no WebSocket: what a gRPC server does not do either.
        uvicorn = ["uvicorn", "greet_rest:app", "--workers", workers, "--port", str(port), "--no-access-log", "--ws", "none", "--log-level", "warning"]
        arguments = {
            "uvicorn": [*uvicorn, "--loop", "uvloop", "--http", "httptools"],
            "uvicorn-h11": [*uvicorn, "--loop", "asyncio", "--http", "h11"],
            "granian": ["granian", "greet_rest:app", "--interface", "asgi", "--workers", workers, "--port", str(port), "--no-ws", "--log-level", "warning"],
        }[setup.server]
        server = start(setup.name, [*prefix, "-m", *arguments, *setup.server_options], environment, address=f"127.0.0.1:{port}")
        wait_for_workers(server, setup.server_workers)
        return server

    def _start_gateway(self, setup, start, upstream):
        command = {
            "grpc-gateway": [self.gateway, "-upstream", upstream],
            "transom": [self.transom, "serve", "--listen", "127.0.0.1:0", "--upstream", f"http://{upstream}",
                        "--proto", os.path.join(PROTO_FOLDER, PROTO)],
        }[setup.gateway]  # fmt: skip
        return start(f"{setup.name}: gateway", [*setup.gateway_prefix, *command, *setup.gateway_options], dict(setup.gateway_environment))

    def _load(self, setup, target, roles):
        arguments = [
            *setup.client_prefix, self.load, "-protocol", "http" if setup.over_http() else "grpc", "-target", target,
            "-connections", str(setup.connections), "-streams", str(setup.streams),
            "-warm-up", f"{self.warm_up}s", "-duration", f"{self.seconds}s",
        ]  # fmt: skip
        if setup.rate:
            arguments += ["-rate", str(setup.rate)]
        counts = {}
        with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
            # It ends by itself; should it not, it is ended.
            bound = threading.Timer(self.warm_up + self.seconds + DRAIN_SECONDS, client.kill)
            bound.start()
            try:
                for moment in ("begin", "end"):
                    if client.stdout.readline().strip() != moment:
                        break
                    counts[moment] = {role: server.count() for role, server in roles.items()}
                output, errors = client.stdout.read(), client.stderr.read()
            finally:
                bound.cancel()
                client.kill()
        if client.returncode:
            raise RuntimeError(f"{setup.name}: {errors.strip() or 'the client failed'}")
        figures = json.loads(output)
        for role, server in roles.items():
            if not server.alive():
                server.fail("ended under load")
            (cpu_before, before), (cpu_after, after) = counts["begin"][role], counts["end"][role]
            figures[f"{role}_cpu_us"] = (cpu_after - cpu_before) * 1e6 / figures["requests"]
            threads = difference(before, after)
            busiest = max(threads.values())
            figures[f"{role}_running"] = busiest.run / 1e9 / self.seconds
            figures[f"{role}_waiting"] = busiest.wait / 1e9 / self.seconds
            figures[f"{role}_switches"] = sum(one.given + one.taken for one in threads.values()) / figures["requests"]
        return figures


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_workers(server, workers):
    """Until the port is open, and as many processes as there are workers have had time to begin."""
    end = time.monotonic() + START_SECONDS
    host, port = server.address().split(":")
    while server.alive() and time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), timeout=1).close()
            break
        time.sleep(0.05)
    else:
        server.fail(f"is not ready after {START_SECONDS} s")
    if workers > 1:
        # One worker answers as soon as it can; the others have just been started beside it.
        time.sleep(0.7)


def check(front, setup):
    """The answer by meaning; the client checks each one by its text."""
    connection = http.client.HTTPConnection(front.address(), timeout=START_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/v1/hello/Ada")
        answer = connection.getresponse()
        found = json.loads(answer.read())
    if setup.stamps:
        found["message"] = " ".join(found["message"].split()[:2])
    if answer.status != 200 or found != EXPECTED:
        raise RuntimeError(f"{setup.name} answers {answer.status} {found}, expected {EXPECTED}")
