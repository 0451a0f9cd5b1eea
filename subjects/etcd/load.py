#!/usr/bin/env python3
"""A steady load on etcd: puts and linearizable gets by turns, at a pace that does not wait for answers.

A client of etcd knows all members. So does this one: when a member gives no answer, it asks the next, and leaves that
one alone for a moment. An operation fails when no member could do it. Every second a line of JSON says how it went;
/metrics and /healthz on port 8080 say the same.
"""

import base64
import collections
import http.client
import http.server
import json
import os
import random
import signal
import sys
import threading
import time
import urllib.parse

RATE = float(os.environ.get("LOAD_RATE", "30"))
TARGETS = os.environ.get("LOAD_TARGETS", "http://127.0.0.1:2379").split(",")
KEYS = int(os.environ.get("LOAD_KEYS", "50"))
VALUE_BYTES = int(os.environ.get("LOAD_VALUE_BYTES", "100"))
TIMEOUT = float(os.environ.get("LOAD_TIMEOUT_MS", "1500")) / 1000
LISTEN = int(os.environ.get("LOAD_PORT", "8080"))
WORKERS = int(os.environ.get("LOAD_WORKERS", "8"))
# A member that gave no answer is not asked again for so long, in seconds.
AVOID = 2.0
# How far back the quantiles look, in seconds.
LOOK_BACK = 10.0


class Refused(Exception):
    """An answer that is a refusal; its word is the kind of the error."""


def word(text):
    """The kind of an error, from what etcd says."""
    for known, kind in (
        ("space exceeded", "no_space"),
        ("no leader", "no_leader"),
        ("request timed out", "etcd_timeout"),
        ("too many requests", "too_many_requests"),
        ("leader changed", "leader_changed"),
    ):
        if known in text:
            return kind
    return "refused"


def encoded(text):
    return base64.b64encode(text.encode()).decode()


class Member:
    """One member, over a connection of the calling worker."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 80
        self.connection = None

    def call(self, path, body):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        try:
            self.connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = self.connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise
        if answer.status != 200:
            raise Refused(word(text))


class View:
    """What is counted, and shown."""

    def __init__(self):
        self.lock = threading.Lock()
        self.total = collections.Counter()
        self.kinds = collections.Counter()
        self.attempts = collections.Counter()
        self.second = collections.Counter()
        self.second_kinds = collections.Counter()
        self.last = {}
        self.closed = time.monotonic()
        self.times = collections.deque()

    def attempt(self, member, result):
        with self.lock:
            self.attempts[(member, result)] += 1

    def note(self, operation, kind, taken):
        """An operation has ended; `kind` is None if it succeeded."""
        result = "ok" if kind is None else "error"
        with self.lock:
            self.total[(operation, result)] += 1
            self.second["ok" if kind is None else "errors"] += 1
            if kind is not None:
                self.kinds[kind] += 1
                self.second_kinds[kind] += 1
            if taken is not None:
                self.times.append((time.monotonic(), taken))

    def quantile(self, part):
        since = time.monotonic() - LOOK_BACK
        while self.times and self.times[0][0] < since:
            self.times.popleft()
        values = sorted(taken for _, taken in self.times)
        return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0

    def close_second(self):
        with self.lock:
            self.last = {
                "second": int(time.time()),
                "ok": self.second["ok"],
                "errors": self.second["errors"],
                "p50_ms": round(self.quantile(0.5) * 1000, 2),
                "p99_ms": round(self.quantile(0.99) * 1000, 2),
                "error_kinds": dict(self.second_kinds),
            }
            self.second.clear()
            self.second_kinds.clear()
            self.closed = time.monotonic()
            return self.last

    def metrics(self):
        with self.lock:
            lines = ["# TYPE load_operations_total counter"]
            for operation in ("put", "get"):
                for result in ("ok", "error"):
                    count = self.total[(operation, result)]
                    lines.append(f'load_operations_total{{operation="{operation}",result="{result}"}} {count}')
            lines.append("# TYPE load_errors_total counter")
            lines += [f'load_errors_total{{kind="{kind}"}} {count}' for kind, count in sorted(self.kinds.items())]
            lines.append("# TYPE load_attempts_total counter")
            for (member, result), count in sorted(self.attempts.items()):
                lines.append(f'load_attempts_total{{member="{member}",result="{result}"}} {count}')
            lines.append("# TYPE load_last_second gauge")
            for result in ("ok", "errors"):
                lines.append(f'load_last_second{{result="{result}"}} {self.last.get(result, 0)}')
            for name, part in (("load_p50_seconds", 0.5), ("load_p99_seconds", 0.99)):
                lines += [f"# TYPE {name} gauge", f"{name} {self.quantile(part):.6f}"]
            return "\n".join(lines) + "\n"


class Pace:
    """When the next operation is due. Nothing is made up for after a pause."""

    def __init__(self, rate):
        self.lock, self.step, self.next = threading.Lock(), 1.0 / rate, time.monotonic()
        self.number = 0

    def take(self):
        with self.lock:
            now = time.monotonic()
            self.next = max(self.next + self.step, now - 0.1)
            self.number += 1
            due, number = self.next, self.number
        time.sleep(max(0.0, due - now))
        return number


def work(pace, view, avoided):
    members = [Member(url) for url in TARGETS]
    while True:
        number = pace.take()
        key = encoded(f"load/{random.randrange(KEYS)}")
        if number % 2:
            operation, path = "put", "/v3/kv/put"
            body = {"key": key, "value": encoded("x" * VALUE_BYTES)}
        else:
            operation, path, body = "get", "/v3/kv/range", {"key": key}
        begun, kind = time.monotonic(), "no_member"
        order = random.sample(members, len(members))
        # Those that gave no answer a moment ago come last.
        order.sort(key=lambda member: avoided.get(member.host, 0.0) > begun)
        for member in order:
            try:
                member.call(path, body)
                view.attempt(member.host, "ok")
                kind = None
                break
            except Refused as refused:
                view.attempt(member.host, "refused")
                kind = str(refused)
            except (OSError, http.client.HTTPException) as error:
                avoided[member.host] = time.monotonic() + AVOID
                view.attempt(member.host, "no_answer")
                kind = "timeout" if isinstance(error, TimeoutError) else "connect"
        view.note(operation, kind, time.monotonic() - begun)


def handler(view):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if self.path == "/metrics":
                status, kind, text = 200, "text/plain; version=0.0.4", view.metrics()
            elif self.path == "/healthz":
                stuck = time.monotonic() - view.closed > 5
                said = {"status": "stuck" if stuck else "sending", "last_second": view.last}
                status, kind, text = (503 if stuck else 200), "application/json", json.dumps(said)
            else:
                status, kind, text = 404, "text/plain", "there are /metrics and /healthz\n"
            body = text.encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    view, pace, avoided = View(), Pace(RATE), {}
    for _ in range(WORKERS):
        threading.Thread(target=work, args=(pace, view, avoided), daemon=True).start()
    server = http.server.ThreadingHTTPServer(("0.0.0.0", LISTEN), handler(view))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        time.sleep(1)
        print(json.dumps(view.close_second()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
