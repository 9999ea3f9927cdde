"""Calls the Greeter service through the gateway with requests and with httpx, and checks every answer.

client.py check URL            the answers, errors and deadlines, one by one, by both libraries
client.py count URL COUNT      COUNT calls on several threads, each with a name of its own

Prints `N passed, N failed` at the end; the exit code is 1 if anything failed.
"""

import concurrent.futures
import sys
import urllib.parse

import httpx
import requests

THREADS = 16
TIME_LIMIT = 60
HTTP_OF_CODE = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400,
    10: 409, 11: 400, 12: 501, 13: 500, 14: 503, 15: 500, 16: 401,
}  # fmt: skip
NOTE = {
    "id": "9007199254740993",
    "title": "Übersicht „1“",
    "text": "line one\nline two\t\"quoted\" \\ \U0001f6e4\u0001 " + "lorem ipsum " * 50,
    "priority": "PRIORITY_HIGH",
    "pinned": True,
    "score": 0.1,
    "revision": -7,
    "author": {"id": "a1", "displayName": "Ada", "email": "ada@example.org"},
    "readers": [{"id": "r1", "displayName": "", "email": ""}, {"id": "r2", "displayName": "Zoë", "email": ""}],
    "tags": ["one", "", "three"],
    "samples": [0, 1, -1, 2147483647, -2147483648],
    "labels": {"": "empty key", "k": "v"},
    "checksum": "AP8Q",
    "parent": "",
}


class Checks:
    def __init__(self, library):
        self.library = library
        self.passed = 0
        self.failures = []

    def expect(self, name, condition, found):
        if condition:
            self.passed += 1
        else:
            self.failures.append(f"{self.library}: {name}: found {found!r}")

    def json(self, name, reply, status, body):
        """The status, the content type and the body, as JSON by meaning."""
        seen = (reply.status_code, reply.headers.get("content-type"), reply.text)
        same = reply.status_code == status and reply.headers.get("content-type", "").split(";")[0] == "application/json"
        try:
            same = same and reply.json() == body
        except ValueError:
            same = False
        self.expect(f"{name}: expected {status} {body!r}", same, seen)

    def error(self, name, reply, status, code, message=None):
        """An error body: the code, the message if it is known, nothing that is not defined."""
        seen = (reply.status_code, reply.headers.get("content-type"), reply.text)
        try:
            body = reply.json()
        except ValueError:
            body = None
        same = (
            reply.status_code == status
            and reply.headers.get("content-type", "").split(";")[0] == "application/json"
            and isinstance(body, dict)
            and body.get("code") == code
            and isinstance(body.get("message"), str)
            and (body["message"] != "" if message is None else body["message"] == message)
            and set(body) <= {"code", "message", "details"}
        )
        self.expect(f"{name}: expected {status} code {code} message {message!r}", same, seen)


def check_answers(checks, session, url):
    checks.json("get", session.get(f"{url}/v1/hello/Ada"), 200, {"message": "Hello Ada!"})
    checks.json("get, escaped", session.get(f"{url}/v1/hello/Zo%C3%AB%20%2F%3F"), 200, {"message": "Hello Zoë /?!"})
    checks.json("post", session.post(f"{url}/v1/hello", json={"name": "Ada"}), 200, {"message": "Hello Ada!"})
    checks.json("post, empty object", session.post(f"{url}/v1/hello", json={}), 200, {"message": "Hello world!"})
    checks.json("post, empty body", session.post(f"{url}/v1/hello"), 200, {"message": "Hello world!"})
    checks.json("post, chunked", session.post(f"{url}/v1/hello", **chunked(session, b'{"na', b'me":"A', b'da"}')), 200, {"message": "Hello Ada!"})
    checks.json("post, unknown key", session.post(f"{url}/v1/hello", json={"name": "Ada", "no": [1]}), 200, {"message": "Hello Ada!"})
    checks.json("get, unknown query", session.get(f"{url}/v1/hello/Ada?no=1"), 200, {"message": "Hello Ada!"})
    checks.json("path without rule", session.post(f"{url}/hello.v1.Greeter/SayHelloPlainly", json={"name": "Ada"}), 200, {"message": "Hello Ada!"})
    checks.json("echo", session.post(f"{url}/v1/echo", json=NOTE), 200, NOTE)
    long_text = {"text": "é" * 300_000}
    reply = session.post(f"{url}/v1/echo", json=long_text)
    checks.expect("echo of 600 KB", reply.status_code == 200 and reply.json()["text"] == long_text["text"], (reply.status_code, len(reply.content)))


def check_errors(checks, session, url):
    for code, status in HTTP_OF_CODE.items():
        message = f"code {code}: 100 % „übel“ <&>\n"
        reply = session.post(f"{url}/v1/hello:fail", json={"code": code, "message": message})
        checks.error(f"upstream's error {code}", reply, status, code, message)
    text = "no such shelf"
    checks.error("upstream's error, by path and query", session.get(f"{url}/v1/fail/5?message={urllib.parse.quote_plus(text)}"), 404, 5, text)
    checks.error("upstream's error without a text", session.get(f"{url}/v1/fail/14"), 503, 14, "")
    checks.json("code 0 is a success", session.get(f"{url}/v1/fail/0"), 200, {"message": ""})
    checks.error("code 17 of the service", session.get(f"{url}/v1/fail/17"), 400, 3, "there is no code 17")
    checks.error("no such path", session.get(f"{url}/v1/nowhere"), 404, 5)
    checks.error("empty segment", session.get(f"{url}/v1/hello/"), 404, 5)
    reply = session.delete(f"{url}/v1/hello/Ada")
    checks.error("other method", reply, 405, 12)
    checks.expect("other method: Allow", "GET" in reply.headers.get("allow", ""), reply.headers.get("allow"))
    checks.error("cut JSON", session.post(f"{url}/v1/hello", **raw(session, b'{"name":')), 400, 3)
    checks.error("wrong type", session.post(f"{url}/v1/hello", json={"name": 5}), 400, 3)
    checks.error("number out of range", session.post(f"{url}/v1/echo", json={"revision": 2147483648}), 400, 3)
    checks.error("no number in the path", session.get(f"{url}/v1/fail/five"), 400, 3)
    checks.error("no UTF-8 in the path", session.get(f"{url}/v1/hello/%ff"), 400, 3)
    checks.json("the connection serves on", session.get(f"{url}/v1/hello/Ada"), 200, {"message": "Hello Ada!"})


def check_deadlines(checks, session, url):
    checks.error("deadline", session.get(f"{url}/v1/hello/wait-{checks.library}", headers={"Grpc-Timeout": "300m"}), 504, 4)
    checks.json("deadline that is kept", session.get(f"{url}/v1/hello/Ada", headers={"Grpc-Timeout": "50S"}), 200, {"message": "Hello Ada!"})
    for bad in ["300", "m", "-1S", "123456789S", "1.5S", "1 S"]:
        checks.error(f"bad deadline {bad!r}", session.get(f"{url}/v1/hello/Ada", headers={"Grpc-Timeout": bad}), 400, 3)


def chunked(session, *parts):
    headers = {"Content-Type": "application/json"}
    key = "content" if isinstance(session, httpx.Client) else "data"
    return {key: iter(parts), "headers": headers}


def raw(session, body):
    key = "content" if isinstance(session, httpx.Client) else "data"
    return {key: body, "headers": {"Content-Type": "application/json"}}


class TimedSession(requests.Session):
    """requests waits for ever unless told otherwise."""

    def request(self, *arguments, **options):
        options.setdefault("timeout", TIME_LIMIT)
        return super().request(*arguments, **options)


def open_session(library):
    # The environment's proxies and certificates are no part of these tests.
    if library == "httpx":
        return httpx.Client(timeout=TIME_LIMIT, trust_env=False)
    session = TimedSession()
    session.trust_env = False
    return session


def check(url):
    results = []
    for library in ["requests", "httpx"]:
        checks = Checks(library)
        with open_session(library) as session:
            check_answers(checks, session, url)
            check_errors(checks, session, url)
            check_deadlines(checks, session, url)
        results.append(checks)
    return results


def count(url, total):
    checks = Checks("count")

    def call_all(thread):
        library = ["requests", "httpx"][thread % 2]
        found = []
        with open_session(library) as session:
            for number in range(thread, total, THREADS):
                name = f"n{number}"
                reply = session.get(f"{url}/v1/hello/{name}") if number % 3 else session.post(f"{url}/v1/hello", json={"name": name})
                found.append((name, reply.status_code, reply.text, reply.status_code == 200 and reply.json() == {"message": f"Hello {name}!"}))
        return found

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(call_all, range(THREADS)):
            for name, status, text, right in found:
                checks.expect(name, right, (status, text))
    return [checks]


def main():
    command, url = sys.argv[1:3]
    results = check(url) if command == "check" else count(url, int(sys.argv[3]))
    failures = [failure for checks in results for failure in checks.failures]
    for failure in failures[:50]:
        print(failure)
    print(f"{sum(checks.passed for checks in results)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
