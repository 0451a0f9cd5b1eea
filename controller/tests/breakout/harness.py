# The break-out suite: ways out of the agent's container, each tried and judged by what it got.
#
# The files of this folder are one program in pieces, put together in the order of breakout.rs: this one
# first, run.py last. It runs inside the agent's container as its user, with Python's standard library only,
# and is told by the environment (BREAKOUT, as JSON) what is its own and what is foreign; run.py lists the
# keys. The same program runs against the bare socket to prove that it finds what is open.
#
# An attempt returns nothing if it was held, or raises: Broke with what it got, Skipped with why not tried.
# It undoes what it did. "Foreign" is always something that the test itself made.

import base64
import json
import os
import re
import socket
import struct
import sys
import time
import urllib.parse

CFG = json.loads(os.environ.get("BREAKOUT") or (sys.argv[1] if len(sys.argv) > 1 else "{}"))
BARE = bool(CFG.get("bare"))
OWN = CFG.get("own", {})
FOREIGN = CFG.get("foreign", {})
AGENT = CFG.get("agent", "")
SOCKET = CFG.get("socket") or os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
V = "/v1.41"
ATTEMPTS = []


class Broke(Exception):
    """The attempt got what it must not."""


class Skipped(Exception):
    """Not tried, and why."""


class Silent(Exception):
    """No answer came within the time for it."""


def attempt(group, name, limit=12, alone=True):
    """Registers a function. `limit`: seconds; `alone`: nothing else runs meanwhile."""

    def register(function):
        assert all(known["name"] != name for known in ATTEMPTS), name
        ATTEMPTS.append({"name": name, "group": group, "run": function, "limit": limit, "alone": alone})
        return function

    return register


def harm_in_bare(why):
    """Against the bare socket this would do real harm to the machine."""
    if BARE:
        raise Skipped(why)


# ── talking to the socket, byte by byte ──────────────────────────────────────────────────────────────


class Answer:
    """What came back: the status (0: nothing that is HTTP), the body, and all bytes."""

    def __init__(self, raw):
        self.raw = raw
        head, _, body = raw.partition(b"\r\n\r\n")
        match = re.match(rb"HTTP/\d\.\d (\d{3})", head)
        self.status = int(match.group(1)) if match else 0
        self.head = head.decode("latin-1")
        self.body = dechunk(body) if re.search(rb"(?i)transfer-encoding: *chunked", head) else body
        self.text = self.body.decode("utf-8", "replace")

    @property
    def ok(self):
        # A gateway refuses a stream in words on the stream, for of any other answer the client prints the number alone.
        refused = self.status == 101 and b"operator gateway: " in self.body[:40]
        return not refused and (200 <= self.status < 300 or self.status in (101, 304))

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def short(self):
        return f"{self.status} {self.text[:160]!r}"


def dechunk(body):
    out = bytearray()
    while True:
        size, line, rest = body.partition(b"\r\n")
        try:
            length = int(size.split(b";")[0], 16)
        except ValueError:
            return bytes(out) or body
        if not line or length == 0:
            return bytes(out)
        out += rest[:length]
        body = rest[length + 2 :]


def dial(timeout=5.0):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    connection.connect(SOCKET)
    return connection


def complete(raw):
    """Whether these bytes are a whole answer, so that a connection that stays open is not waited for."""
    head, split, body = raw.partition(b"\r\n\r\n")
    if not split:
        return False
    if re.match(rb"HTTP/1\.\d (1\d\d|204|304)", head):
        return not re.match(rb"HTTP/1\.\d 10[01]", head)
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    if length:
        return len(body) >= int(length.group(1))
    return body.endswith(b"0\r\n\r\n") if re.search(rb"(?i)transfer-encoding: *chunked", head) else False


def raw(data, linger=1.5, first=8.0, cap=1 << 20, whole=True, more=()):
    """Sends bytes and reads what comes: waits `first` seconds for anything, `linger` for more of it.

    With `whole` it stops at the end of one answer. `more` is sent afterwards, each after a short pause.
    No answer and no end within `first` is Silent; an end without an answer is an answer of status 0.
    """
    got = bytearray()
    with dial() as connection:
        try:
            for piece in data if isinstance(data, (list, tuple)) else [data]:
                connection.sendall(piece)
            for piece in more:
                time.sleep(0.2)
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass  # It need not read all that we send.
        end = time.monotonic() + first
        while len(got) < cap:
            connection.settimeout(max(0.01, end - time.monotonic()))
            try:
                part = connection.recv(65536)
            except TimeoutError:
                if not got:
                    raise Silent(f"no answer within {first} s") from None
                break
            except OSError:
                break
            if not part:
                break
            got += part
            if whole and complete(bytes(got)):
                break
            end = min(end, time.monotonic() + linger) if len(got) > len(part) else time.monotonic() + linger
    return Answer(bytes(got))


def ask(method, path, body=None, headers=None, query=None, **options):
    """A well-formed request."""
    if query:
        path += "?" + urllib.parse.urlencode(query)
    lines = {"Host": "docker", "Connection": "close"}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        lines["Content-Type"] = "application/json"
    if body is not None or method == "POST":
        lines["Content-Length"] = str(len(body or b""))
    lines.update(headers or {})
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in lines.items()) + "\r\n"
    return raw(head.encode() + (body or b""), **options)


def get(path, **options):
    return ask("GET", V + path, **options)


def post(path, body=None, **options):
    return ask("POST", V + path, body, **options)


def filters(value):
    return {"filters": value if isinstance(value, str) else json.dumps(value)}


# ── judging ──────────────────────────────────────────────────────────────────────────────────────────


def markers():
    """Words that only somebody who saw foreign things can say."""
    keys = ("id", "name", "network", "network_id", "volume", "secret", "exec", "image_id", "guest_id", "guest_name")
    found = [FOREIGN[key] for key in keys if FOREIGN.get(key)]
    return found + ([AGENT] if AGENT else []) + CFG.get("ours", [])


def no_leak(answer, sent=""):
    """No foreign thing is named in the answer, but for what we said ourselves."""
    said = urllib.parse.unquote(sent).lower()
    seen = answer.raw.decode("latin-1").lower()
    for marker in markers():
        for form in (marker.lower(), marker.lower()[:12] if re.fullmatch("[0-9a-f]{64}", marker) else None):
            if form and form in seen and form not in said:
                raise Broke(f"{answer.status}: the answer names {form}")
    return answer


def not_done(answer, sent=""):
    """Neither done nor leaked."""
    if answer.ok:
        raise Broke(answer.short())
    return no_leak(answer, sent)


# What the engine says when a request reached it and failed there: the wall did not hold it.
ENGINE_WORDS = re.compile(
    r"not a swarm manager|not part of a swarm|active endpoints|is in use|conflict: unable|running container"
    r"|is already in use by|dial tcp|connection refused|could not parse|invalid ListenAddr|failed to resolve"
    r"|repository does not exist|registry/v|no such host|plugin .* not found|already exists in network"
    r"|must be an IP address|must be specified|operation not supported|timeout waiting for exec|failed to create the (mac|ip)vlan",
    re.IGNORECASE,
)


def not_reached(answer, sent=""):
    """Not done, and the engine was not even asked."""
    not_done(answer, sent)
    if ENGINE_WORDS.search(answer.text):
        raise Broke(f"the engine itself answered: {answer.short()}")


def same_as_made_up(of, name, made_up):
    """A foreign name must look exactly like one that nobody has."""
    real, fake = of(name), of(made_up)
    if (real.status, real.text.replace(name, "X")) != (fake.status, fake.text.replace(made_up, "X")):
        raise Broke(f"a foreign name can be told from a made-up one: {real.short()} / {fake.short()}")
