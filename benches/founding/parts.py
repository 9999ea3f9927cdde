"""What is measured, part by part: the setups of each, the columns of its table."""

import dataclasses
import os

from measuring import Setup

KINDS = ("sync", "aio")
IN_FLIGHT = 100


@dataclasses.dataclass(frozen=True)
class Column:
    title: str
    figure: str
    digits: int = 0
    # Whether the range of the rounds is shown too.
    spread: bool = False


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    title: str
    setups: tuple
    columns: tuple


RATE = Column("requests/s", "rate", spread=True)
P50 = Column("p50 ms", "p50_ms", 1)
P99 = Column("p99 ms", "p99_ms", 1, spread=True)
TAIL = Column("p99 ÷ mean", "tail", 2)
CPU = (Column("client µs", "client_cpu_us"), Column("gateway µs", "gateway_cpu_us"), Column("server µs", "server_cpu_us"))
SCHEDULING = (
    Column("gateway's switches a request", "gateway_switches", 1),
    Column("server's", "server_switches", 1),
    Column("its busiest thread runs %", "server_running_percent"),
    Column("waits for a core %", "server_waiting_percent"),
)
STAMPS = tuple(
    Column(f"{group}: {part}", f"{group}_{part}", 1) for group in ("typical", "slowest") for part in ("total", "there", "handler", "back")
)


def plain(kind, connections, streams, **more):
    return Setup(f"{kind}, plain gRPC, {connections} × {streams}", kind, connections=connections, streams=streams, **more)


def before(gateway, kind, name="", **more):
    return Setup(f"{gateway} → {kind}{name}", kind, gateway=gateway, **more)


def founding():
    rows = []
    for kind in KINDS:
        rows += [plain(kind, 1, IN_FLIGHT), plain(kind, 4, IN_FLIGHT // 4)]
    rows.append(dataclasses.replace(plain("aio", 1, IN_FLIGHT), name="aio, plain gRPC, 1 × 100, again", base="aio, plain gRPC, 1 × 100"))
    rows += [
        Setup("Starlette, uvicorn (uvloop, httptools), 2 workers", "uvicorn"),
        Setup("Starlette, granian, 2 workers", "granian"),
        Setup("Starlette, uvicorn (asyncio, h11), 2 workers", "uvicorn-h11"),
    ]
    for kind in KINDS:
        # A worker of Transom has two connections; grpc-gateway has one.
        rows.append(before("grpc-gateway", kind, base=f"{kind}, plain gRPC, 1 × 100"))
        rows.append(before("transom", kind, base=f"{kind}, plain gRPC, 4 × 25"))
        rows.append(before("transom", kind, ", 1 worker", gateway_options=("--workers", "1"), base=f"{kind}, plain gRPC, 4 × 25"))
    rows.append(before("transom", "aio", ", again", base="transom → aio"))
    return Part("founding", "The founding table", tuple(rows), (RATE, Column("÷ base", "ratio", 2, spread=True), P50, P99, *CPU))


def connections():
    rows = []
    for kind in KINDS:
        rows += [plain(kind, count, IN_FLIGHT // count) for count in (1, 4, 20, 100)]
        rows += [
            before("grpc-gateway", kind, f", {count} connections", gateway_options=("-connections", str(count)))
            for count in (1, 2, 4, 10, 25)
        ]
        rows += [before("transom", kind, f", {2 * workers} connections", gateway_options=("--workers", str(workers))) for workers in (1, 2, 4)]
    return Part("connections", "Connections to the server", tuple(rows), (RATE, P50, P99, *CPU, *SCHEDULING))


def scheduling():
    rows = []
    apart = {"client_prefix": ("taskset", "-c", "0"), "server_prefix": ("taskset", "-c", "1")}
    for kind in KINDS:
        rows.append(plain(kind, 1, IN_FLIGHT))
        rows.append(dataclasses.replace(plain(kind, 1, IN_FLIGHT, **apart), name=f"{kind}, plain gRPC, server alone on core 1"))
        rows += [
            dataclasses.replace(plain(kind, 1, IN_FLIGHT, spinning=count), name=f"{kind}, plain gRPC, beside {count} spinning") for count in (1, 2)
        ]
        for gateway in ("grpc-gateway", "transom"):
            one_thread = {
                "grpc-gateway": {"gateway_environment": (("GOMAXPROCS", "1"),)},
                "transom": {"gateway_options": ("--workers", "1")},
            }[gateway]
            rows.append(before(gateway, kind))
            rows.append(before(gateway, kind, ", gateway on one thread", **one_thread))
            rows.append(before(gateway, kind, ", server alone on core 1", gateway_prefix=("taskset", "-c", "0"), **apart))
            rows.append(before(gateway, kind, ", each in a session of its own", own_session=True))
            if os.geteuid() == 0:
                rows.append(before(gateway, kind, ", server at nice -15", server_prefix=("nice", "-n", "-15")))
    rows.append(before("grpc-gateway", "aio", ", uvloop", server_options=("uvloop",)))
    rows.append(dataclasses.replace(plain("aio", 1, IN_FLIGHT, server_options=("uvloop",)), name="aio, plain gRPC, uvloop"))
    return Part("scheduling", "Scheduling", tuple(rows), (RATE, P50, P99, *CPU, *SCHEDULING))


def flight():
    rows = []
    for count in (1, 4, 16, 64, 256):
        for kind in KINDS:
            rows.append(plain(kind, 1, count))
            for gateway in ("grpc-gateway", "transom"):
                rows.append(before(gateway, kind, f", {count} in flight", connections=count))
    return Part("flight", "Requests in flight", tuple(rows), (RATE, P50, P99, TAIL, *CPU, *SCHEDULING[2:]))


def rates():
    rows = []
    for rate in (500, 1000, 2000, 3000):
        for kind in KINDS:
            # No more streams than connections: the client waits on each connection until a call is due.
            row = plain(kind, IN_FLIGHT, 1, rate=rate)
            rows.append(dataclasses.replace(row, name=f"{kind}, plain gRPC, {rate:,} a second"))
            rows += [before(gateway, kind, f", {rate:,} a second", rate=rate) for gateway in ("grpc-gateway", "transom")]
    columns = (Column("answered/s", "rate"), P50, P99, Column("p99.9 ms", "p999_ms", 1), Column("max ms", "max_ms", 1), *CPU, *SCHEDULING[2:])
    return Part("rates", "At a given rate", tuple(rows), columns)


def tails():
    rows = []
    for kind in KINDS:
        rows.append(plain(kind, 1, IN_FLIGHT, stamps=True))
        rows += [before(gateway, kind, stamps=True) for gateway in ("grpc-gateway", "transom")]
    for threads, interval in ((1, 5), (100, 5), (10, 0.1), (10, 50)):
        row = plain("sync", 1, IN_FLIGHT, stamps=True, server_options=(str(threads), str(interval)))
        rows.append(dataclasses.replace(row, name=f"sync, plain gRPC, {threads} threads, GIL switched after {interval} ms"))
    for name in ("uvicorn", "granian", "uvicorn-h11"):
        rows += [Setup(f"Starlette, {name}, {workers} workers", name, server_workers=workers, stamps=True) for workers in (1, 2)]
    return Part("tails", "Tails", tuple(rows), (RATE, P99, TAIL, *STAMPS))


PARTS = {part.name: part for part in (founding(), connections(), scheduling(), flight(), rates(), tails())}
SMOKE = (
    "sync, plain gRPC, 1 × 100", "aio, plain gRPC, 1 × 100", "Starlette, granian, 2 workers", "grpc-gateway → sync", "transom → aio",
)  # fmt: skip
