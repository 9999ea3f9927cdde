"""The gateways: how each is made ready, set up and started, with as many workers or threads as cores; Go takes GOMAXPROCS from those it is pinned to."""

import contextlib
import json
import os
import subprocess
import tempfile
import time
import urllib.request

import builds
import processes

ENVOY_TEMPLATE = os.path.join(builds.ROOT, "proxy", "tests", "differential", "envoy.json")
CONNECTIONS_MAX = 20_000


class Gateway:
    """`is_plain`: a proxy that transcodes nothing, before a server that answers the same JSON over HTTP/1.1."""

    name = None
    is_plain = False

    def __init__(self, options):
        self.options = options

    def prepare(self, schema):
        """Builds or fetches what it needs; called before anything is measured."""

    def start(self, schema, upstream, cores, folder):
        """Returns the running program and what waits for its address. `folder` is empty and goes away afterwards."""
        raise NotImplementedError

    def version(self):
        """As the program says it."""
        raise NotImplementedError


def first_line(*arguments, environment=None):
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=environment, check=False)
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines else "unknown"


def go_module_version(module):
    with open(os.path.join(builds.HERE, "go", "go.mod"), encoding="utf-8") as file:
        return next(line.split()[1] for line in file if line.split()[:1] == [module])


class Transom(Gateway):
    name = "transom"
    codec = None

    def prepare(self, schema):
        builds.prepare_schema(schema)
        self.program = self.options.transom or builds.prepare_transom()

    def start(self, schema, upstream, cores, folder):
        _, descriptor_set = builds.prepare_schema(schema)
        program = processes.Program(self.name, cores, [
            self.program, "serve", "--listen", "127.0.0.1:0", "--workers", str(len(cores)), "--upstream", f"http://{upstream}", "--descriptor-set", descriptor_set,
            *(["--upstream-codec", self.codec] if self.codec else []),
        ])  # fmt: skip
        return program, program.address

    def version(self):
        return first_line(self.program, "--version").removeprefix("transom ")


class TransomOnH2(Transom):
    name = "transom-h2"
    codec = "h2"


class TransomOnItsOwn(Transom):
    name = "transom-own"
    codec = "transom"


class GrpcGateway(Gateway):
    name = "grpc-gateway"

    def prepare(self, schema):
        builds.prepare_go(schema)

    def start(self, schema, upstream, cores, folder):
        program = processes.Program(self.name, cores, [os.path.join(builds.prepare_go(schema), "grpc-gateway"), "-upstream", upstream])
        return program, program.address

    def version(self):
        return go_module_version("github.com/grpc-ecosystem/grpc-gateway/v2")


class Vanguard(Gateway):
    name = "vanguard"

    def prepare(self, schema):
        builds.prepare_schema(schema)

    def start(self, schema, upstream, cores, folder):
        _, descriptor_set = builds.prepare_schema(schema)
        path = os.path.join(builds.prepare_go(), "vanguard")
        program = processes.Program(self.name, cores, [path, "-upstream", upstream, "-descriptor-set", descriptor_set])
        return program, program.address

    def version(self):
        return go_module_version("connectrpc.com/vanguard")


class Envoy(Gateway):
    name = "envoy"

    def prepare(self, schema):
        builds.prepare_schema(schema)
        self.program = builds.prepare_envoy()

    def start(self, schema, upstream, cores, folder):
        _, descriptor_set = builds.prepare_schema(schema)
        settings, admin = os.path.join(folder, "envoy.json"), os.path.join(folder, "admin")
        with open(settings, "w", encoding="utf-8") as file:
            json.dump(envoy_settings(schema, upstream, descriptor_set), file)
        program = processes.Program(self.name, cores, [
            self.program, "-c", settings, "--admin-address-path", admin, "--use-dynamic-base-id", "--concurrency", str(len(cores)), "-l", "error",
        ])  # fmt: skip
        return program, lambda: program.wait_until(lambda: envoy_address(admin))

    def version(self):
        return builds.ENVOY_VERSION


def envoy_settings(schema, upstream, descriptor_set):
    """Those of the differential tests, with limits of a kind that 10,000 connections need."""
    loopback = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    host, port = upstream.split(":")
    with open(ENVOY_TEMPLATE, encoding="utf-8") as file:
        template = json.load(file)
    resources = template["static_resources"]
    transcoder = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][0]["typed_config"]
    transcoder.update(proto_descriptor=descriptor_set, services=schema.services)
    template["admin"] = {"address": loopback}
    resources["listeners"][0]["address"] = loopback
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}
    resources["clusters"][0]["load_assignment"]["endpoints"] = [{"lb_endpoints": [endpoint]}]
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), CONNECTIONS_MAX)
    resources["clusters"][0]["circuit_breakers"] = {"thresholds": [limits]}
    return template


def envoy_address(admin):
    """Its port, which its admin interface tells once the listener is open."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with open(admin, encoding="utf-8") as file:
        address = file.read()
    with opener.open(f"http://{address}/ready", timeout=processes.START_SECONDS) as reply:
        reply.read()
    with opener.open(f"http://{address}/listeners?format=json", timeout=processes.START_SECONDS) as reply:
        found = json.load(reply)["listener_statuses"][0]["local_address"]["socket_address"]
    return f"{found['address']}:{found['port_value']}"


class StructuredProxy(Gateway):
    name = "structured-proxy"

    def prepare(self, schema):
        builds.prepare_schema(schema)
        self.program = builds.prepare_structured_proxy()

    def start(self, schema, upstream, cores, folder):
        _, descriptor_set = builds.prepare_schema(schema)
        address, settings = processes.free_address(), os.path.join(folder, "settings.json")
        with open(settings, "w", encoding="utf-8") as file:  # YAML reads JSON.
            json.dump({
                "listen": {"http": address}, "upstream": {"default": f"http://{upstream}"}, "descriptors": [{"file": descriptor_set}],
                "service": {"name": "bench"}, "runtime": {"worker_threads": len(cores)},
                # It does not start with `{name}:move`, nor with two routes like `{name=projects/*/things/*}`: half of the generated ones.
                "transcode": {"only": schema.plain_methods},
            }, file)  # fmt: skip
        program = processes.Program(self.name, cores, [self.program, "--config", settings], {**os.environ, "RUST_LOG": "error"})
        return program, lambda: program.wait_for_port(address)

    def version(self):
        return builds.STRUCTURED_PROXY_VERSION


NGINX = """\
daemon off;
{user}
worker_processes {workers};
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    # Connections stay open, and bodies stay in memory.
    keepalive_requests 1000000000;
    client_body_buffer_size 1m;
    proxy_buffers 16 64k;
    {temporary}
    upstream server {{ server {upstream}; keepalive {connections}; keepalive_requests 1000000000; }}
    server {{
        listen {address} backlog=4096;
        location / {{ proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


class Nginx(Gateway):
    name = "nginx"
    is_plain = True

    def prepare(self, schema):
        self.program, self.environment = builds.prepare_debian("nginx")

    def start(self, schema, upstream, cores, folder):
        address, settings = processes.free_address(), os.path.join(folder, "nginx.conf")
        paths = (f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.getuid() == 0 else ""
        builds.write(settings, NGINX.format(
            folder=folder, user=user, workers=len(cores), temporary=" ".join(paths), upstream=upstream, address=address, connections=CONNECTIONS_MAX,
        ))  # fmt: skip
        program = processes.Program(self.name, cores, [self.program, "-e", "stderr", "-p", folder, "-c", settings], self.environment)
        return program, lambda: program.wait_for_port(address)

    def version(self):
        return first_line(self.program, "-v", environment=self.environment).rpartition("/")[2]


HAPROXY = """\
global
    nbthread {workers}
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    http-reuse always
listen gateway
    bind {address} backlog 4096
    maxconn {connections}
    server upstream {upstream}
"""


class Haproxy(Gateway):
    name = "haproxy"
    is_plain = True

    def prepare(self, schema):
        self.program, self.environment = builds.prepare_debian("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")

    def start(self, schema, upstream, cores, folder):
        address, settings = processes.free_address(), os.path.join(folder, "haproxy.cfg")
        builds.write(settings, HAPROXY.format(workers=len(cores), address=address, upstream=upstream, connections=CONNECTIONS_MAX))
        program = processes.Program(self.name, cores, [self.program, "-db", "-f", settings], self.environment)
        return program, lambda: program.wait_for_port(address)

    def version(self):
        return first_line(self.program, "-v", environment=self.environment).partition("version ")[2].split(" ")[0]


KINDS = {kind.name: kind for kind in (Transom, TransomOnH2, TransomOnItsOwn, GrpcGateway, Envoy, Vanguard, StructuredProxy, Nginx, Haproxy)}
# Not run unless asked for.
SPECIAL = (TransomOnH2.name, TransomOnItsOwn.name)
AGAIN = " again"
# What the program in go/upstream is told to be.
UPSTREAMS = {"raw": ["-raw"], "grpc-go": [], "plain": ["-plain"]}


class Stand:
    """One gateway and the server behind it, running together and alone; a context manager."""

    def __init__(self, gateway, schema, cores, upstream):
        self.gateway, self.schema, self.cores, self.kind = gateway, schema, cores, "plain" if gateway.is_plain else upstream

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gateways-"))
            path = os.path.join(builds.prepare_go(), "upstream")
            self.upstream = processes.Program("upstream", self.cores.upstream, [path, *UPSTREAMS[self.kind]])
            stack.callback(self.upstream.stop)
            self.upstream_address = self.upstream.address()
            self.counter = self.upstream.address("counting on http://")
            self.started = time.monotonic()
            self.program, wait = self.gateway.start(self.schema, self.upstream_address, self.cores.gateway, folder)
            stack.callback(self.program.stop)
            self.address = wait()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def answered(self):
        """How many calls the server has answered so far."""
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{self.counter}/", timeout=60) as reply:
            return int(reply.read())
