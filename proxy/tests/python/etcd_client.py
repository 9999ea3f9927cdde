"""etcd3gw, a client of etcd that speaks only to its REST gateway, used as its documentation shows: etcd_client.py PORT.

Prints `N passed, N failed`; the exit code is 1 if anything failed. Lease renewal and watches are streams and left out.
"""

import sys

import requests
from etcd3gw.client import Etcd3Client
from etcd3gw.exceptions import Etcd3Exception, InternalServerError

from checks import end, expect


def raised(action):
    """The kind of error that `action` raises, and whether it carries a text."""
    try:
        action()
    except Etcd3Exception as error:
        return type(error), bool(error.detail_text)
    return None


def check_keys(client):
    expect("put", client.put("client/a", "one"), True)
    expect("get", client.get("client/a"), [b"one"])
    expect("get, nothing there", client.get("client/none"), [])
    expect("create", client.create("client/b", "two"), True)
    expect("create what is there", client.create("client/b", "three"), False)
    expect("replace", client.replace("client/b", "two", "four"), True)
    expect("replace another value", client.replace("client/b", "two", "five"), False)
    client.put("client/bytes", b"\x00\xff\xfe")
    expect("bytes", client.get("client/bytes"), [b"\x00\xff\xfe"])
    pairs = client.get_prefix("client/", sort_order="descend", sort_target="key")
    expect("prefix, sorted", [pair[1]["key"] for pair in pairs], [b"client/bytes", b"client/b", b"client/a"])
    [(value, metadata)] = client.get("client/a", metadata=True)
    expect("metadata", (value, metadata["key"], metadata["version"]), (b"one", b"client/a", "1"))
    expect("delete", client.delete("client/a"), True)
    expect("delete, nothing there", client.delete("client/a"), False)
    expect("delete a prefix", client.delete_prefix("client/"), True)
    expect("nothing left", client.get_prefix("client/"), [])


def check_transactions(client):
    transaction = {
        "compare": [{"key": "dA==", "result": "EQUAL", "target": "VERSION", "version": 0}],
        "success": [{"request_put": {"key": "dA==", "value": "MQ=="}}],
        "failure": [{"request_range": {"key": "dA=="}}],
    }
    expect("transaction that holds", client.transaction(transaction).get("succeeded"), True)
    reply = client.transaction(transaction)
    expect("transaction that does not hold", reply.get("succeeded"), None)
    expect("its range", reply["responses"][0]["response_range"]["kvs"][0]["value"], "MQ==")


def check_leases(client):
    lease = client.lease(ttl=600)
    expect("put with a lease", client.put("leased", "x", lease=lease), True)
    expect("keys of a lease", lease.keys(), [b"leased"])
    expect("time to live", 590 <= lease.ttl() <= 600, True)
    expect("revoke", lease.revoke(), True)
    expect("the key went with the lease", client.get("leased"), [])
    expect("revoke again", raised(lease.revoke), (Etcd3Exception, True))


def check_locks(client):
    lock = client.lock("mine", ttl=600)
    expect("acquire", lock.acquire(), True)
    expect("acquired", lock.is_acquired(), True)
    expect("another cannot acquire", client.lock("mine", ttl=600).acquire(), False)
    expect("release", lock.release(), True)
    expect("free again", client.lock("mine", ttl=600).acquire(), True)


def check_errors(client):
    expect("no key", raised(lambda: client.post(client.get_url("/kv/range"), json={})), (Etcd3Exception, True))
    expect("no election", raised(lambda: client.post(client.get_url("/election/leader"), json={"name": "eA=="})), (InternalServerError, True))


def main():
    session = requests.Session()
    session.trust_env = False
    # Without a path it would ask for /version, which etcd serves beside its gateway and is no call of gRPC.
    client = Etcd3Client(host="127.0.0.1", port=int(sys.argv[1]), timeout=60, api_path="/v3/", session=session)
    expect("one member", len(client.members()), 1)
    expect("status has a version", client.status()["version"][:2], "3.")
    for check in (check_keys, check_transactions, check_leases, check_locks, check_errors):
        check(client)
    return end()


if __name__ == "__main__":
    sys.exit(main())
