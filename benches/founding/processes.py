"""Programs under measurement: started in process groups of their own, counted by thread, stopped by the id of the group."""

import collections
import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time

START_SECONDS = 30
STOP_SECONDS = 10
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

# What a thread has done: nanoseconds on a core, nanoseconds ready and waiting for one, turns given up, turns taken away.
Thread = collections.namedtuple("Thread", "run wait given taken")


def die_with_parent():
    """Runs in the new process: if this program is killed, what it started is not left behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def inherit_preference(process):
    """A new session begins without the preference that this one has been given."""
    with contextlib.suppress(OSError):
        with open("/proc/self/autogroup", encoding="utf-8") as file:
            nice = file.read().split()[-1]
        with open(f"/proc/{process}/autogroup", "w", encoding="utf-8") as file:
            file.write(nice)


class Server:
    """A program, and the processes it starts. It says `listening on http://ADDRESS` on standard error, or is given the address to listen on."""

    def __init__(self, name, arguments, environment, address=None, own_session=False):
        self.name = name
        self.lines = collections.deque(maxlen=50)
        self._address = address
        self._heard = threading.Event()
        # A session has a share of the processor of its own where the kernel groups processes by session (autogroup).
        group = {"start_new_session": True} if own_session else {"process_group": 0}
        self.process = subprocess.Popen(
            arguments, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, preexec_fn=die_with_parent, **group,
        )  # fmt: skip
        if own_session:
            inherit_preference(self.process.pid)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self):
        with self.process.stderr:
            for line in self.process.stderr:
                self.lines.append(line)
                if "listening on http://" in line and not self._address:
                    self._address = line.split("listening on http://")[1].split()[0].rstrip("/")
                    self._heard.set()
        self._heard.set()

    def address(self):
        if not self._address:
            self._heard.wait(START_SECONDS)
        if not self._address:
            self.fail(f"is not ready after {START_SECONDS} s")
        return self._address

    def fail(self, how):
        raise RuntimeError(f"{self.name} {how}: {''.join(self.lines)}")

    def alive(self):
        return self.process.poll() is None

    def _members(self):
        """The ids of all processes of the group."""
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    fields = stat(name)
                    if int(fields[2]) == self.process.pid:
                        yield name, fields

    def count(self):
        """Processor seconds of the group, and its threads by id."""
        ticks, threads = 0, {}
        for member, fields in self._members():
            ticks += int(fields[11]) + int(fields[12])
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for thread in os.listdir(f"/proc/{member}/task"):
                    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                        threads[thread] = thread_counts(f"/proc/{member}/task/{thread}")
        return ticks / TICKS_PER_SECOND, threads

    def stop(self):
        for sign in (signal.SIGTERM, signal.SIGKILL):
            # The group is there as long as one of its processes is, even if the first has ended.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, sign)
            end = time.monotonic() + STOP_SECONDS
            while time.monotonic() < end:
                self.process.poll()
                if not any(fields[0] != "Z" for _, fields in self._members()):
                    self.process.wait()
                    self._listener.join(STOP_SECONDS)
                    return
                time.sleep(0.01)


def stat(process):
    """The fields of /proc/PID/stat after the name: state, parent, group, ..."""
    with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rsplit(")", 1)[1].split()


def thread_counts(folder):
    with open(f"{folder}/schedstat", encoding="utf-8") as file:
        run, wait, _ = file.read().split()
    with open(f"{folder}/status", encoding="utf-8") as file:
        switches = [int(line.split()[1]) for line in file if "ctxt_switches" in line]
    return Thread(int(run), int(wait), *switches)


def difference(before, after):
    """What each thread did between two counts; one that was not there before began at nothing."""
    nothing = Thread(0, 0, 0, 0)
    return {name: Thread(*(b - a for a, b in zip(before.get(name, nothing), counts))) for name, counts in after.items()}
