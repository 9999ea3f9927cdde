"""The streams of etcd3gw, a client of etcd that speaks only to its REST gateway: etcd3gw_streams.py PORT.

Prints `N passed, N failed`; the exit code is 1 if anything failed. Its calls that are no streams are in etcd_client.py.
"""

import sys
import threading

import requests
from etcd3gw.client import Etcd3Client
from etcd3gw.exceptions import WatchTimedOut

from checks import end, expect


def make_client():
    session = requests.Session()
    session.trust_env = False
    return Etcd3Client(host="127.0.0.1", port=int(sys.argv[1]), timeout=60, api_path="/v3/", session=session)


def check_leases(client):
    lease = client.lease(ttl=600)
    expect("keepalive", 590 <= lease.refresh() <= 600, True)
    lease.revoke()
    expect("keepalive of a lease that is gone", lease.refresh(), -1)
    lock = client.lock("mine", ttl=600)
    lock.acquire()
    expect("keepalive of a lock", 590 <= lock.refresh() <= 600, True)
    lock.release()


def check_watches(client):
    other = make_client()
    events, cancel = client.watch("watched")
    other.put("watched", "one")
    event = next(events)
    expect("a put", (event["kv"]["key"], event["kv"]["value"], event.get("type")), (b"watched", b"one", None))
    other.put("watched", "two")
    other.delete("watched")
    expect("another put", next(events)["kv"]["value"], b"two")
    event = next(events)
    expect("a delete", (event["kv"]["key"], event["type"]), (b"watched", "DELETE"))
    cancel()

    events, cancel = client.watch_prefix("many/")
    for number in range(100):
        other.put(f"many/{number:03}", str(number))
    expect("a hundred puts", [next(events)["kv"]["value"] for _ in range(100)], [str(number).encode() for number in range(100)])
    cancel()

    events, cancel = client.watch("large")
    other.put("large", "x" * 500_000)
    expect("a large value", len(next(events)["kv"]["value"]), 500_000)
    cancel()

    timer = threading.Timer(0.5, lambda: other.put("once", "now"))
    timer.start()
    expect("watch once", client.watch_once("once", timeout=30)["kv"]["value"], b"now")
    timer.join()
    try:
        client.watch_once("never", timeout=1)
        expect("a watch without an event", "an event", "a time-out")
    except WatchTimedOut:
        expect("a watch without an event", "a time-out", "a time-out")


def main():
    client = make_client()
    for check in (check_leases, check_watches):
        check(client)
    return end()


if __name__ == "__main__":
    sys.exit(main())
