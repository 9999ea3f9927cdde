"""Processes of the comparison: each on the cores it was given, its CPU time and memory read from /proc, stopped by its id."""

import contextlib
import os
import socket
import subprocess
import threading
import time

START_SECONDS = 60
STOP_SECONDS = 10
POLL_SECONDS = 0.002
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PRIORITY = "-10"


def keep_priority():
    """Before other work on the machine, where the kernel weighs sessions and lets us; what is started belongs to this session."""
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="utf-8") as file:
        file.write(PRIORITY)


def pinned(cores):
    """What a command begins with that is to stay on these cores."""
    return ["taskset", "-c", ",".join(map(str, cores))]


class Program:
    """A program of ours that runs until `stop`. Its group is its own, so Ctrl-C reaches only the driver, which then stops it."""

    def __init__(self, name, cores, arguments, environment=None):
        self.name = name
        self.lines = []
        self._heard = threading.Condition()
        # taskset replaces itself by the program, so the process id is the program's own.
        self.process = subprocess.Popen(
            [*pinned(cores), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace", env=environment, process_group=0,
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stderr:
            with self._heard:
                self.lines = [*self.lines[-50:], line]
                self._heard.notify_all()
        self.process.wait()
        with self._heard:
            self._heard.notify_all()

    def address(self, said="listening on http://"):
        """The address that it says on its standard error."""
        with self._heard:
            if not self._heard.wait_for(lambda: self._find(said) or self.process.poll() is not None, START_SECONDS) or not self._find(said):
                raise self.not_ready()
            return self._find(said)

    def _find(self, said):
        found = (line.split(said)[1].split()[0].rstrip("/") for line in self.lines if said in line)
        return next(found, None)

    def wait_for_port(self, address):
        """For programs that say nothing: until somebody accepts there."""
        host, port = address.split(":")
        return self.wait_until(lambda: socket.create_connection((host, int(port)), timeout=1).close() or address)

    def wait_until(self, attempt):
        """What `attempt` returns once it neither fails nor returns nothing."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, LookupError, ValueError):
                found = attempt()
                if found:
                    return found
            time.sleep(POLL_SECONDS)
        raise self.not_ready()

    def not_ready(self):
        return RuntimeError(f"{self.name} did not become ready: {''.join(self.lines[-3:])[:300]}")

    def _family(self):
        """Its id and those of its children, since nginx works in one."""
        ids = [self.process.pid]
        for number in ids:
            with contextlib.suppress(OSError), open(f"/proc/{number}/task/{number}/children", encoding="utf-8") as file:
                ids += map(int, file.read().split())
        return ids

    def cpu_seconds(self):
        ticks = 0
        for number in self._family():
            with open(f"/proc/{number}/stat", encoding="utf-8") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_SECOND

    def rss_mib(self):
        total = 0
        for number in self._family():
            with open(f"/proc/{number}/status", encoding="utf-8") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        return total / 1024

    def stop(self):
        for end in (self.process.terminate, self.process.kill):
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
                return


def free_address():
    """For programs that cannot take a free port by themselves and say which."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"
