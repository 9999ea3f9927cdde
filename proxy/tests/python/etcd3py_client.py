"""etcd3-py, a client of etcd that speaks only to its REST gateway, used as its documentation shows: etcd3py_client.py PORT.

Prints `N passed, N failed`; the exit code is 1 if anything failed. It asks `GET /version` first, which is no call of gRPC.
"""

import os
import sys
import threading
import time
import warnings

# The library is of 2019: it calls what Python has since renamed.
warnings.simplefilter("ignore")
os.environ["NO_PROXY"] = "127.0.0.1"

import etcd3
from etcd3.errors import ErrLeaseNotFound, Etcd3Exception
from etcd3.stateful.watch import EventType

from checks import end, expect


def raised(action):
    """The kind of error that `action` raises."""
    try:
        action()
    except Etcd3Exception as error:
        return type(error)
    return None


def comes_true(is_true):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if is_true():
            return True
        time.sleep(0.02)
    return False


def make_client():
    return etcd3.Client("127.0.0.1", int(sys.argv[1]), timeout=60)


def check_keys(client):
    client.put("py/a", "one")
    client.put("py/b", b"\x00\xff")
    expect("range", client.range("py/a").kvs[0].value, b"one")
    expect("prefix", [pair.value for pair in client.range("py/", prefix=True).kvs], [b"one", b"\x00\xff"])
    expect("nothing there", client.range("py/none").kvs, None)
    expect("previous value", client.put("py/a", "two", prev_kv=True).prev_kv.value, b"one")
    expect("delete", client.delete_range("py/", prefix=True).deleted, 2)
    txn = client.Txn()
    txn.compare(txn.key("py/t").version == 0)
    txn.success(txn.put("py/t", "1"))
    txn.failure(txn.range("py/t"))
    expect("transaction that holds", txn.commit().succeeded, True)
    reply = txn.commit()
    expect("transaction that does not hold", bool(reply.succeeded), False)
    expect("its range", reply.responses[0].response_range.kvs[0].value, b"1")


def check_leases(client):
    with client.Lease(ttl=600) as lease:
        expect("granted", 590 <= lease.ttl() <= 600, True)
        expect("kept alive by its thread", comes_true(lambda: lease.last_keep is not None), True)
        expect("keepalive once", 590 <= lease.keepalive_once().TTL <= 600, True)
        client.put("py/leased", "x", lease=lease.ID)
        expect("keys of a lease", [key for key in lease.time_to_live(keys=True).keys], [b"py/leased"])
    expect("the key went with the lease", client.range("py/leased").kvs, None)
    expect("revoke again", raised(lease.revoke), ErrLeaseNotFound)


def check_watches(client):
    other = make_client()
    seen = []
    watcher = client.Watcher(key="py/w", prefix=True)
    watcher.onEvent(lambda event: seen.append((event.type, event.key, event.value)))
    watcher.runDaemon()
    expect("created", comes_true(lambda: watcher.start_revision is not None), True)
    other.put("py/w1", "one")
    other.put("py/w2", "two")
    other.delete_range("py/w1")
    comes_true(lambda: len(seen) >= 3)
    wanted = [(EventType.PUT, b"py/w1", b"one"), (EventType.PUT, b"py/w2", b"two"), (EventType.DELETE, b"py/w1", None)]
    expect("events", seen, wanted)
    watcher.stop()

    seen.clear()
    watcher = client.Watcher(key="py/many", prefix=True)
    watcher.onEvent(lambda event: seen.append(event.value))
    watcher.runDaemon()
    comes_true(lambda: watcher.start_revision is not None)
    for number in range(100):
        other.put(f"py/many{number}", str(number))
    comes_true(lambda: len(seen) >= 100)
    expect("a hundred puts", seen, [str(number).encode() for number in range(100)])
    watcher.stop()

    timer = threading.Timer(0.5, lambda: other.put("py/once", "now"))
    timer.start()
    event = client.Watcher(key="py/once").watch_once(timeout=30)
    expect("watch once", event and event.value, b"now")
    timer.join()
    expect("a watch without an event", client.Watcher(key="py/never").watch_once(timeout=1), None)


def check_locks(client):
    other = make_client()
    with client.Lock("mine", lock_ttl=60) as lock:
        expect("acquired", lock.is_acquired, True)
        another = other.Lock("mine", lock_ttl=60)
        another.acquire(block=False)
        expect("another cannot acquire", another.is_acquired, False)
        waiting = threading.Thread(target=another.acquire)
        waiting.start()
        time.sleep(0.3)
        expect("another waits", waiting.is_alive(), True)
    waiting.join(30)
    expect("another has it now", another.is_acquired, True)
    another.release()


def check_snapshot(client):
    snapshot = client.snapshot()
    expect("a snapshot has pieces", sum(len(part.blob) for part in snapshot) > 10_000, True)


def main():
    client = make_client()
    expect("version", client.server_version[:2], "3.")
    for check in (check_keys, check_leases, check_watches, check_locks, check_snapshot):
        check(client)
    return end()


if __name__ == "__main__":
    sys.exit(main())
