#!/usr/bin/env python3
"""Repeats the benchmark that Transom began with: Python servers by plain gRPC, as REST, and behind gateways.

    python3 benches/founding/run.py [--part PART,PART] [--only TEXT,TEXT] [--rounds 3] [--seconds 3] [--transom PROGRAM] [--write]
    python3 benches/founding/run.py --smoke

Parts: founding (the table), connections, scheduling, flight, rates and tails (the two questions it left). Builds what it needs into target/: Transom for
release unless --transom names a program, client and grpc-gateway with Go, a Python environment. One measurement is a server, perhaps a gateway before
it, and the client, all started anew; each answer is checked. Rounds are interleaved (A B C A B C); rows called `again` are the same setup twice: their
distance is the noise. Prints Markdown; --write puts tables and plot into docs/. Whatever ends the run, what it started is stopped by its own id.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import figures
from measuring import Bench
from parts import PARTS, SMOKE
from preparation import BUILD, ROOT, prepare_programs, prepare_python, prepare_transom, read, say
from processes import die_with_parent

PAGE = os.path.join(ROOT, "docs", "BENCHMARKS.md")
PLOT = os.path.join(ROOT, "docs", "founding.svg")
WARM_UP_SECONDS = 1
# As the `nice` of the session.
PREFERENCE = "-15"


class Progress:
    """Says what is measured now, and how long the rest will take as far as the past tells."""

    def __init__(self, total):
        self.total, self.done, self.began = total, 0, time.monotonic()

    def next(self, text):
        left = "-"
        if self.done:
            seconds = (time.monotonic() - self.began) / self.done * (self.total - self.done)
            left = f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
        self.done += 1
        say(f"[{self.done}/{self.total}, {left} left] {text}")


def measure(bench, parts, rounds):
    """The figures of each row, round by round, by part; and the rows that failed."""
    progress = Progress(rounds * sum(len(part.setups) for part in parts))
    found, failed = {part.name: {} for part in parts}, []
    for part in parts:
        for number in range(rounds):
            current = {}
            for setup in part.setups:
                progress.next(f"{part.name}, round {number + 1} of {rounds}: {setup.name}")
                try:
                    measured = bench.measure(setup)
                except (RuntimeError, OSError, ValueError) as error:
                    # The other rows are worth having.
                    say(f"FAILED: {error}")
                    failed.append(setup.name)
                    continue
                current[setup.name] = figures.finish(measured, current.get(setup.base))
                found[part.name].setdefault(setup.name, []).append(current[setup.name])
    return found, failed


def run_in_own_session(work):
    """Runs `work` in a new process and session, whose end this one waits for. Where the kernel weighs processes by session, the run can be preferred to
    builds and the like, and nothing of that is left afterwards. A terminal's Ctrl-C does not reach another session: signals are handed on."""
    child = os.fork()
    if child == 0:
        os.setsid()
        die_with_parent()
        work()
        return
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda number, _: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status) % 256)


def prefer_this_session():
    """Before all other sessions. Only the administrator may ask for it."""
    try:
        with open("/proc/self/autogroup", "w", encoding="utf-8") as file:
            file.write(PREFERENCE)
    except OSError:
        return False
    return is_preferred()


def is_preferred():
    """Asked at the end again: another administrator may have seen it otherwise."""
    try:
        return int(read("/proc/self/autogroup").split()[-1]) == int(PREFERENCE)
    except (OSError, ValueError):
        return False


def describe(options, load_before, preferred):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    words = [
        f"{model}, {os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}",
        f"{options.rounds} interleaved rounds of {options.seconds:g} s after {options.warm_up:g} s, medians (and ranges)",
        f"load {load_before:.2f} before the run" + ("" if preferred and is_preferred() else ", no preference over other programs to its end"),
        time.strftime("%Y-%m-%d"),
    ]
    return "; ".join(words) + "."


def chosen(options):
    """The parts and setups that are wanted."""
    names = options.part.split(",") if options.part else ["founding"] if options.smoke else list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        sys.exit(f"--part {unknown[0]}: expected {', '.join(PARTS)}")
    wanted = options.only.split(",") if options.only else SMOKE if options.smoke else None
    parts = []
    for name in names:
        part = PARTS[name]
        if wanted:
            # A smoke names whole rows, a person parts of names.
            match = (lambda row: row in wanted) if wanted is SMOKE else (lambda row: any(text in row for text in wanted))
            part = type(part)(part.name, part.title, tuple(setup for setup in part.setups if match(setup.name)), part.columns)
        if part.setups:
            parts.append(part)
    if not parts:
        sys.exit(f"--only {options.only}: no row of {', '.join(names)} has that in its name")
    return parts


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", help=f"by commas: {', '.join(PARTS)}; all, if not given")
    parser.add_argument("--only", help="only rows with one of these texts in their names, by commas")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 51), metavar="1..50")
    parser.add_argument("--seconds", type=float, default=3, help="of one measurement, after a second to warm up")
    parser.add_argument("--transom", help="a built program, instead of building one")
    parser.add_argument("--write", action="store_true", help="put tables and plot into docs/")
    parser.add_argument("--smoke", action="store_true", help="a few rows for an instant: does it all work?")
    options = parser.parse_args()
    options.warm_up = WARM_UP_SECONDS
    if options.smoke:
        options.rounds, options.seconds, options.warm_up = 1, 0.3, 0.2
    if not 0.1 <= options.seconds <= 60:
        parser.error("--seconds: expected 0.1 to 60")
    return options


def main():
    options = arguments()
    run_in_own_session(lambda: benchmark(options))


def benchmark(options):
    # All of these must pass through the clean-up.
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda number, _: sys.exit(128 + number))
    parts = chosen(options)
    python = prepare_python()
    load, gateway, modules = prepare_programs(python)
    transom = options.transom
    if not transom and any(setup.gateway == "transom" for part in parts for setup in part.setups):
        transom = prepare_transom()
    load_before = os.getloadavg()[0]
    preferred = prefer_this_session()
    bench = Bench(python, modules, load, gateway, transom, options.warm_up, options.seconds)
    found, failed = measure(bench, parts, options.rounds)
    machine = describe(options, load_before, preferred)

    with open(os.path.join(BUILD, "figures.json"), "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "figures": found}, file, indent=1)
    page = read(PAGE) if options.write else ""
    for part in parts:
        text = f"{machine}\n\n{figures.table(part, found[part.name])}"
        print(f"## {part.title}\n\n{text}\n")
        if options.write:
            page = figures.put(page, part.name, text)
        if part.name == "founding" and found[part.name]:
            path = PLOT if options.write else os.path.join(BUILD, "founding.svg")
            with open(path, "w", encoding="utf-8") as file:
                file.write(figures.plot(part, found[part.name], machine))
            say(f"the plot is in {path}")
    if options.write:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(page)
    if failed:
        sys.exit(f"{len(failed)} measurements failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
