#!/usr/bin/env python3
"""Compares gateways in front of one server: requests a second, latencies, CPU a request and memory, as Markdown and as drawings.

    benches/gateways/compare.py                        every gateway and workload; see README.md for how long
    benches/gateways/compare.py --smoke                two gateways, a few seconds: does it work?
    benches/gateways/compare.py --gateways transom,envoy --workloads get,stream --rounds 5
    benches/gateways/compare.py --latency              latencies at a constant rate, 30 to 90 % of each gateway's own peak
    benches/gateways/compare.py --start                time from start to the first answer, by number of routes
    benches/gateways/compare.py --growth 10000000      memory after 0 to 10,000,000 requests

Builds or fetches what it needs into target/. One gateway runs at a time, afresh for each run, on a core of its own; the load
and the server share another. Answers are checked by meaning before and after each run: a wrong one fails the row. Rounds are
interleaved (A B C A B C), and a gateway named `X again` is X once more: the distance between the two rows is the noise.
The table goes to standard output; with the drawings and all figures it also goes to --out. Progress goes to standard error.
Nothing keeps running afterwards: every process is stopped by its own id, on Ctrl-C too, and what was measured is still shown.
"""

import argparse
import collections
import itertools
import json
import os
import platform
import resource
import signal
import sys
import tempfile
import time

# Sources lie beside what is imported; nothing is written there.
sys.dont_write_bytecode = True

import builds
import gateways
import measure
import processes
import report
import schema
import workloads

CONNECTIONS = (64, 1, 1000, 10_000)
ROUTES = (10, 100, 1000, 10_000)
WORKERS = (1, 2)
START_ROUNDS = 10
DESCRIPTORS_WANTED = 65_536
DESCRIPTORS_BESIDE = 500


class Cores(collections.namedtuple("Cores", "gateway load upstream usable")):
    """Lists of numbers."""

    def with_workers(self, count):
        """`count` cores for the gateway: its own, then those on which nothing else is, and at last those of load and server."""
        taken = {*self.gateway, *self.load, *self.upstream}
        order = [*self.gateway, *(core for core in self.usable if core not in taken), *self.usable]
        return self._replace(gateway=list(dict.fromkeys(order))[:count])


def descriptors_needed(count, is_plain):
    """Open files of one process. A plain proxy has a connection to the server for each request under way."""
    return count * (2 if is_plain else 1) + DESCRIPTORS_BESIDE


def main():
    options = read_options()
    cores = check_cores(options.cores)
    options.descriptors = raise_descriptors()
    # SIGTERM must pass through the clean-ups, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    schemas = {count: schema.Schema(count) for count in options.routes}
    chosen = {name: gateways.KINDS[name.removesuffix(gateways.AGAIN)](options) for name in options.gateways}
    builds.prepare_go()
    for count, one in schemas.items():
        if count == options.routes[0] or "routes" in options.workloads or options.start:
            for gateway in chosen.values():
                gateway.prepare(one)
    processes.keep_priority()
    # The driver itself stays off the gateway's core.
    os.sched_setaffinity(0, cores.load)
    cells = plan(options, schemas, cores)
    with tempfile.TemporaryDirectory(prefix="gateways-") as folder:
        loader = measure.Loader(options, cores, folder)
        kind, run = kind_of(options)
        rows, code = kind(list(chosen)), 0
        try:
            run(loader, chosen, cells, options, rows)
        except (KeyboardInterrupt, SystemExit) as end:
            builds.say("interrupted; this is what was measured")
            code = end.code if isinstance(end, SystemExit) else 130
        show(options, chosen, cores, rows)
    sys.exit(code or (1 if rows.has_failed else 0))


def read_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [name for name in gateways.KINDS if name not in gateways.SPECIAL]
    default.insert(1, gateways.Transom.name + gateways.AGAIN)
    names = [name + suffix for name in gateways.KINDS for suffix in ("", gateways.AGAIN)]
    parser.add_argument("--gateways", type=some_of(names), default=default, metavar="NAME,...", help=f"of {', '.join(gateways.KINDS)}, and `X again`; ratios are to the first (default: {','.join(default)})")
    parser.add_argument("--workloads", type=some_of(workloads.KEYS), default=list(workloads.KEYS), metavar="KEY,...", help=f"of {', '.join(workloads.KEYS)}")
    parser.add_argument("--connections", type=numbers(1, 10_000), metavar="N,...", default=list(CONNECTIONS), help="the first for all workloads, the others for the first workload")
    parser.add_argument("--routes", type=numbers(schema.LEAST_ROUTES, 10_000), metavar="N,...", default=list(ROUTES), help="the first for all workloads, the others for `routes`, which asks up to 16 of them in turn")
    parser.add_argument("--workers", type=numbers(1, 64), metavar="N,...", default=list(WORKERS), help="the first for all workloads, the others for the first workload; they take the cores of the load as well if there are no others")
    parser.add_argument("--cross", action="store_true", help="all workloads with all numbers of connections")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="1..20")
    parser.add_argument("--seconds", type=int, default=5, choices=range(1, 61), metavar="1..60", help="of each run, warm-up not counted")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--latency", action="store_true", help="constant rate instead of as fast as possible, and plain gRPC beside it; the first number of connections, routes and workers only")
    mode.add_argument("--start", action="store_true", help="time from the start of a gateway until it has answered, for each of --routes, at least 10 times")
    mode.add_argument("--growth", type=int, metavar="REQUESTS", help="memory along so many requests; the first number of connections, routes and workers only")
    parser.add_argument("--upstream", choices=[name for name in gateways.UPSTREAMS if name != "plain"], default="raw", help="the server behind the gateways: made by hand, so that it is not what is full, or grpc-go's (default: raw)")
    parser.add_argument("--grpc-connections", type=int, metavar="N", help="with --latency: plain gRPC has as many calls at a time as there are connections, over N connections (default: one call on each)")
    parser.add_argument("--smoke", action="store_true", help="transom and grpc-gateway, one short round; other options still count")
    parser.add_argument("--transom", help="a built program, instead of building one")
    parser.add_argument("--cores", default="0,1,1", metavar="GATEWAY,LOAD,UPSTREAM", help="a number or a range for each (default: 0,1,1)")
    parser.add_argument("--out", default=os.path.join(builds.BUILD, "report"), metavar="FOLDER", help="for table, drawing and figures (default: target/gateways/report)")
    if "--smoke" in sys.argv:
        parser.set_defaults(gateways=["transom", "grpc-gateway"], workloads=["get", "post-1k"], connections=[8], routes=[10], workers=[1], rounds=1, seconds=1)
    options = parser.parse_args()
    if options.grpc_connections is not None and options.grpc_connections < 1:
        parser.error(f"--grpc-connections: expected 1 or more, found {options.grpc_connections}")
    if options.growth is not None and options.growth < report.GROWTH_STEPS:
        parser.error(f"--growth: expected {report.GROWTH_STEPS} or more, found {options.growth}")
    if options.start:
        options.rounds = max(options.rounds, START_ROUNDS)
    return options


def some_of(known):
    def read(text):
        found = text.split(",")
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"`{name}` is none of {', '.join(known)}")
        return list(dict.fromkeys(found))

    return read


def numbers(low, high):
    def read(text):
        found = [int(part) if part.isdecimal() else -1 for part in text.split(",")]
        if not all(low <= number <= high for number in found):
            raise argparse.ArgumentTypeError(f"expected numbers from {low} to {high} by commas, found `{text}`")
        return list(dict.fromkeys(found))

    return read


def cpu_list(text):
    """`0`, or `2-3`, as taskset takes it."""
    low, _, high = text.partition("-")
    return list(range(int(low), int(high or low) + 1))


def check_cores(text):
    usable = sorted(os.sched_getaffinity(0))
    try:
        cores = Cores(*map(cpu_list, text.split(",")), usable)
    except (TypeError, ValueError):
        sys.exit(f"--cores: expected three cores or ranges such as 0,1,2-3, found `{text}`")
    if not {*cores.gateway, *cores.load, *cores.upstream} <= {*usable}:
        sys.exit(f"--cores {text}: this process may use {', '.join(map(str, usable))}; two cores are needed at least")
    return cores


def raise_descriptors():
    """As many open files as are wanted, or as many as are allowed; what is started inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((DESCRIPTORS_WANTED, max(hard, DESCRIPTORS_WANTED)), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            return limit[0]
        except (ValueError, OSError):
            continue
    return soft


def plan(options, schemas, cores):
    """The cells in the order in which they are measured."""
    base, descriptors = schemas[options.routes[0]], options.descriptors
    if options.start:
        return [measure.Cell(workloads.workloads(one)["routes"], 1, one, options.workers[0]) for one in schemas.values()]
    wanted = options.connections[:1] if is_simple(options) else options.connections
    possible = [count for count in wanted if descriptors_needed(count, False) <= descriptors]
    for count in wanted:
        for is_plain, who in ((False, "gateways"), (True, "plain proxies")):
            needed = descriptors_needed(count, is_plain)
            if needed > descriptors:
                builds.say(f"{who} are left out of {count:,} connections: they need {needed:,} open files, {descriptors:,} are allowed (ulimit -Hn)")
    if not possible:
        sys.exit("no number of connections is possible")
    workers = [count for count in options.workers if count <= len(cores.usable)]
    for count in options.workers:
        if count not in workers:
            builds.say(f"{count} workers are left out: there are {len(cores.usable)} cores")
    if not workers:
        sys.exit("no number of workers is possible")
    cells = []
    for index, workload in enumerate(workloads.workloads(base)[key] for key in options.workloads if key != "routes"):
        counts = possible if index == 0 or options.cross else possible[:1]
        cells += [measure.Cell(workload, count, base, workers[0]) for count in counts]
        if index == 0 and not is_simple(options):
            cells += [measure.Cell(workload, possible[0], base, count) for count in workers[1:]]
    if "routes" in options.workloads and not is_simple(options):
        cells += [measure.Cell(workloads.workloads(one)["routes"], possible[0], one, workers[0]) for one in schemas.values()]
    if not cells:
        sys.exit("nothing is left to be measured: `routes` has no constant rate and no growth")
    return cells


def is_simple(options):
    """Whether each workload is measured with one number of connections, routes and workers."""
    return options.latency or options.growth is not None


def kind_of(options):
    """What holds the figures, and what measures them."""
    if options.latency:
        return report.Paced, run_paced
    if options.start:
        return report.Started, run_start
    return (report.Grown, run_growth) if options.growth is not None else (report.Closed, run_closed)


class Progress:
    """A line before each run, with the time that is left by what the runs so far took."""

    def __init__(self, total):
        self.total, self.done, self.start = total, 0, time.monotonic()

    def say(self, text):
        left = (time.monotonic() - self.start) / self.done * (self.total - self.done) if self.done else 0
        builds.say(f"[{self.done + 1}/{self.total}] {text}" + (f" (about {int(left) // 60}:{int(left) % 60:02} left)" if self.done else ""))
        self.done += 1

    def skip(self, count):
        self.total -= count


def takes_part(gateway, cell, descriptors):
    """A plain proxy has no routes that could be many."""
    return not (gateway.is_plain and cell.workload.key == "routes") and descriptors_needed(cell.connections, gateway.is_plain) <= descriptors


def run_closed(loader, chosen, cells, options, rows):
    """A round of a workload has all its connections, routes and workers, so that what grows with these is compared within the round."""
    groups = [[cell for cell in cells if cell.workload.key == key] for key in dict.fromkeys(cell.workload.key for cell in cells)]
    run_rounds(loader.closed, chosen, groups, options, rows)


def run_start(loader, chosen, cells, options, rows):
    run_rounds(lambda gateway, cell, _: loader.start(gateway, cell), chosen, [cells], options, rows)


def run_growth(loader, chosen, cells, options, rows):
    options.rounds = 1
    run_rounds(lambda gateway, cell, _: loader.growth(gateway, cell, options.growth), chosen, [cells], options, rows)


def run_rounds(measured, chosen, groups, options, rows):
    pairs = {(cell, name) for group in groups for cell in group for name in chosen if takes_part(chosen[name], cell, options.descriptors)}
    progress = Progress(len(pairs) * options.rounds)
    for group in groups:
        for number, cell, name in itertools.product(range(options.rounds), group, chosen):
            if (cell, name) not in pairs or isinstance(rows.rows.get((cell, name)), str):
                continue
            progress.say(f"{cell}, round {number + 1} of {options.rounds}: {name}")
            try:
                rows.rows.setdefault((cell, name), []).append(measured(chosen[name], cell, options.seconds))
            except workloads.NotServed as reason:
                rows.not_served(cell, name, reason)
                progress.skip(options.rounds - number - 1)
            except measure.Failure as reason:
                rows.fail(cell, name, reason)
                progress.skip(options.rounds - number - 1)


def run_paced(loader, chosen, cells, options, rows):
    pairs = [(cell, name) for cell in cells for name in chosen if takes_part(chosen[name], cell, options.descriptors)]
    progress = Progress(len(pairs) * options.rounds * (1 + len(measure.FRACTIONS)))
    for cell in cells:
        for number in range(options.rounds):
            for name, gateway in chosen.items():
                if (cell, name) not in pairs:
                    continue
                if (cell, name) in rows.failures:
                    progress.skip(1 + len(measure.FRACTIONS))
                    continue
                progress.say(f"{cell}, peak, round {number + 1} of {options.rounds}: {name}")
                try:
                    rows.peaks.setdefault((cell, name), []).append(loader.peak(gateway, cell, options.seconds))
                except (workloads.NotServed, measure.Failure) as reason:
                    rows.fail(cell, name, reason)
                    progress.skip(len(measure.FRACTIONS))
        for fraction in measure.FRACTIONS:
            for number in range(options.rounds):
                for name, gateway in chosen.items():
                    if not rows.can_go_on(cell, name, fraction):
                        continue
                    rate = rows.peak(cell, name) * fraction
                    progress.say(f"{cell}, {fraction:.0%} of the peak, {rate:,.0f} a second, round {number + 1} of {options.rounds}: {name}")
                    try:
                        rows.add(cell, name, fraction, loader.paced(gateway, cell, rate, options.seconds, is_first=number % 2 == 0))
                    except measure.Failure as reason:
                        rows.fail_at(cell, name, fraction, reason)
                        progress.skip(options.rounds - number - 1)


def show(options, chosen, cores, rows):
    names = ", ".join(f"{name} {gateway.version()}" for name, gateway in chosen.items() if not name.endswith(gateways.AGAIN))
    rounds = (f"{options.rounds} interleaved rounds" if options.rounds > 1 else "one round") + (f" of {options.seconds} s" if rows.is_timed else "")
    head = (
        f"{processor()}, {os.cpu_count()} processors, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}; {names}.\n"
        f"{rows.how}; {rounds}, medians (and ranges); gateway on core {listed(cores.with_workers(options.workers[0]).gateway)}, load on {listed(cores.load)}, "
        f"server ({options.upstream}) on {listed(cores.upstream)}; load average at the end {os.getloadavg()[0]:.2f}.\n"
    )
    text = f"{head}\n{rows.markdown()}\n"
    print(text)
    kind = rows.kind
    os.makedirs(options.out, exist_ok=True)
    builds.write(os.path.join(options.out, f"{kind}.md"), text)
    builds.write(os.path.join(options.out, f"{kind}.json"), json.dumps(rows.figures(), indent=1))
    drawing = rows.svg()
    if drawing:
        builds.write(os.path.join(options.out, f"{kind}.svg"), drawing)
    builds.say(f"written to {os.path.relpath(options.out)}: {kind}.md, {kind}.json" + (f", {kind}.svg" if drawing else ""))


def listed(cores):
    return ",".join(map(str, cores))


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
