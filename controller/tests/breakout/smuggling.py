# ── request smuggling, upgrades, and connections that wear out ───────────────────────────────────────

# The second request. Its answer has the foreign container's id, which is in nothing that is sent.
HIDDEN = f"GET {V}{TARGET} HTTP/1.1\r\nHost: docker\r\n\r\n"
PING = f"GET {V}/_ping HTTP/1.1\r\nHost: docker\r\n"
NO_CALL = f"POST {V}/containers/{OID}/resize?h=20&w=20 HTTP/1.1\r\nHost: docker\r\n"


def smuggle(name, pieces, more=lambda: (), limit=15, group="smuggling", echoes=""):
    @attempt(group, name, limit=limit)
    def _():
        data = pieces()
        data = data if isinstance(data, (list, tuple)) else [data]
        data = [piece.encode("latin-1") if isinstance(piece, str) else piece for piece in data]
        later = [piece.encode("latin-1") if isinstance(piece, str) else piece for piece in more()]
        no_leak(raw(data, whole=False, linger=1.0, more=later), f"{FNAME} {echoes}")


def framed(name, headers, body):
    smuggle(name, lambda: NO_CALL + headers() + "\r\n" + body())


framed("a length and chunks", lambda: f"Content-Length: {len(HIDDEN) + 5}\r\nTransfer-Encoding: chunked\r\n", lambda: "0\r\n\r\n" + HIDDEN)
framed("chunks and a length", lambda: "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", lambda: "0\r\n\r\n" + HIDDEN)
framed("two lengths that differ", lambda: f"Content-Length: 0\r\nContent-Length: {len(HIDDEN)}\r\n", lambda: HIDDEN)
framed("two lengths that differ, the other way", lambda: f"Content-Length: {len(HIDDEN)}\r\nContent-Length: 0\r\n", lambda: HIDDEN)
framed("two lengths in one header", lambda: f"Content-Length: 0, {len(HIDDEN)}\r\n", lambda: HIDDEN)
framed("a length with a sign", lambda: "Content-Length: +0\r\n", lambda: HIDDEN)
framed("a length that is negative", lambda: "Content-Length: -1\r\n", lambda: HIDDEN)
framed("a length in hexadecimal", lambda: "Content-Length: 0x0\r\n", lambda: HIDDEN)
framed("a length beyond all numbers", lambda: "Content-Length: 18446744073709551616\r\n", lambda: HIDDEN)
framed("an encoding that is none", lambda: "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n", lambda: HIDDEN)
framed("an encoding twice", lambda: "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", lambda: "0\r\n\r\n" + HIDDEN)
framed("chunked and identity", lambda: "Transfer-Encoding: chunked, identity\r\n", lambda: "0\r\n\r\n" + HIDDEN)
framed("a tab before chunked", lambda: "Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n", lambda: "0\r\n\r\n" + HIDDEN)
framed("a space before the colon", lambda: "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n", lambda: "0\r\n\r\n" + HIDDEN)
framed("a folded header", lambda: "X: 1\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", lambda: "0\r\n\r\n" + HIDDEN)
framed("a folded encoding", lambda: "Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n", lambda: "0\r\n\r\n" + HIDDEN)
framed("a chunk that is huge", lambda: "Transfer-Encoding: chunked\r\n", lambda: "ffffffffffffffff0\r\n" + HIDDEN)
framed("a chunk that is negative", lambda: "Transfer-Encoding: chunked\r\n", lambda: "-1\r\n" + HIDDEN)
framed("a chunk in the wrong notation", lambda: "Transfer-Encoding: chunked\r\n", lambda: "0x0\r\n\r\n" + HIDDEN)
framed("a chunk with an extension", lambda: "Transfer-Encoding: chunked\r\n", lambda: "0;a=\"\r\n\r\n\"\r\n\r\n" + HIDDEN)
framed("chunks without their line breaks", lambda: "Transfer-Encoding: chunked\r\n", lambda: "1\nx\n0\n\n" + HIDDEN)
framed("a trailer that is a header", lambda: "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n", lambda: "0\r\nContent-Length: 5\r\n\r\n" + HIDDEN)
framed("a request instead of what 100-continue waits for", lambda: f"Expect: 100-continue\r\nContent-Length: 10\r\n", lambda: HIDDEN)
framed("headers by bare line feeds", lambda: "Content-Length: 0\nX: y\n\n" + HIDDEN + "Z: \r\n", lambda: "")
framed("headers by bare carriage returns", lambda: "X: y\rContent-Length: 0\r\r" + HIDDEN + "Z: \r\n", lambda: "")
framed("a NUL in a header", lambda: "X: \0\r\nContent-Length: 0\r\n", lambda: HIDDEN)
smuggle("pipelined, the second at a foreign container", lambda: PING + "\r\n" + HIDDEN)
smuggle("pipelined, a hundred", lambda: (PING + "\r\n") * 100 + HIDDEN)
smuggle("pipelined after a pause", lambda: PING + "\r\n", lambda: [HIDDEN])
smuggle("pipelined behind a refusal", lambda: HIDDEN + HIDDEN + HIDDEN)
smuggle("a GET with a body that is a request", lambda: PING + f"Content-Length: {len(HIDDEN)}\r\n\r\n" + HIDDEN)
smuggle("a GET with a length of none and a request", lambda: PING + "Content-Length: 0\r\n\r\n" + HIDDEN)
smuggle("a HEAD with a body", lambda: PING.replace("GET", "HEAD") + f"Content-Length: {len(HIDDEN)}\r\n\r\n" + HIDDEN)
smuggle("a HEAD and one more", lambda: PING.replace("GET", "HEAD") + "\r\n" + HIDDEN)
smuggle("an upgrade where none is", lambda: f"GET {V}/containers/json HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", lambda: [HIDDEN])
smuggle("an upgrade to h2c", lambda: PING + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", lambda: [HIDDEN])
smuggle("an upgrade to a websocket", lambda: PING + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", lambda: [HIDDEN])
smuggle("an upgrade of an exec that is not there", lambda: f"POST {V}/exec/{NOBODY}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{{}}", lambda: [HIDDEN])
smuggle("an upgrade of a foreign exec", lambda: f"POST {V}/exec/{FOREIGN.get('exec')}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{{}}", lambda: [HIDDEN], echoes=FOREIGN.get("exec"))
smuggle("a preface of HTTP/2", lambda: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\0\0\0\4\0\0\0\0\0" + HIDDEN)
smuggle("HTTP/0.9", lambda: f"GET {V}{TARGET}\r\n\r\n")
smuggle("HTTP/1.0 that stays open", lambda: f"GET {V}/_ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + HIDDEN)
smuggle("HTTP/9.9", lambda: f"GET {V}{TARGET} HTTP/9.9\r\nHost: x\r\n\r\n")
smuggle("no host", lambda: f"GET {V}{TARGET} HTTP/1.1\r\n\r\n")
smuggle("two hosts", lambda: f"GET {V}{TARGET} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
smuggle("a host that is an address", lambda: f"GET {V}{TARGET} HTTP/1.1\r\nHost: 127.0.0.1:2375\r\n\r\n")
smuggle("TLS", lambda: bytes.fromhex("16030100a5010000a10303") + b"\0" * 160 + HIDDEN.encode())
smuggle("bytes of all kinds", lambda: bytes(range(256)) * 64 + HIDDEN.encode())
smuggle("ten thousand headers", lambda: PING + "".join(f"X-{n}: y\r\n" for n in range(10000)) + "\r\n" + HIDDEN)
smuggle("a header of a megabyte", lambda: PING + "X: " + "y" * (1 << 20) + "\r\n\r\n" + HIDDEN)
smuggle("nothing, then a request", lambda: "\r\n\r\n\r\n" + HIDDEN)

for _header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri"):

    @attempt("smuggling", f"the header {_header}")
    def _(header=_header):
        value = "DELETE" if "Method" in header else f"{V}{TARGET}"
        for answer in (
            ask("GET", f"{V}/containers/{FNAME}/json", headers={header: value}),
            ask("GET", f"{V}/_ping", headers={header: value}),
            ask("POST", f"{V}/containers/{FNAME}/wait", headers={header: "GET"}),
        ):
            no_leak(answer, FNAME)
            if answer.ok and answer.text.strip() not in ("OK", "") and FNAME in answer.text:
                raise Broke(answer.short())


@attempt("smuggling", "bytes after the upgrade of an own exec", limit=60)
def _():
    for command in (["true"], ["sleep", "1"], ["cat"]):
        announced = post(f"/containers/{OID}/exec", {"AttachStdin": True, "AttachStdout": True, "Cmd": command})
        exec_id = (announced.json() or {}).get("Id", "")
        start = (
            f"POST {V}/exec/{exec_id or NOBODY}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            "Content-Type: application/json\r\nContent-Length: 28\r\n\r\n" + '{"Detach":false,"Tty":false}'
        )
        no_leak(raw([start.encode()], whole=False, linger=2.0, first=35, more=[HIDDEN.encode(), HIDDEN.encode()]), FNAME)
        no_leak(raw([start.encode() + HIDDEN.encode()], whole=False, linger=1.0, first=35), FNAME)


@attempt("smuggling", "an exec that is started twice", limit=40)
def _():
    announced = post(f"/containers/{OID}/exec", {"AttachStdout": True, "Cmd": ["echo", "once"]})
    exec_id = (announced.json() or {}).get("Id", "")
    if not exec_id:
        return
    answers = [post(f"/exec/{exec_id}/start", {"Detach": False}, first=35).text.count("once") for _ in range(2)]
    if answers[1]:
        raise Broke("it ran again")


def alive(connection_limit=6.0):
    """The other side still answers somebody who behaves."""
    answer = get("/_ping", first=connection_limit)
    if answer.status != 200:
        raise Silent(f"the ping is answered {answer.short()}")


@attempt("wearing out", "fifty requests that never end", limit=30)
def _():
    open_ones = []
    for _ in range(50):
        open_ones.append(dial(2.0))
        open_ones[-1].sendall(b"GET /v1.41/_pi")
    for _ in range(3):
        for connection in open_ones:
            try:
                connection.sendall(b"n")
            except OSError:
                pass
        alive()
        time.sleep(0.3)
    for connection in open_ones:
        connection.close()
    alive()


@attempt("wearing out", "fifty bodies that never come", limit=30)
def _():
    open_ones = []
    for _ in range(50):
        open_ones.append(dial(2.0))
        open_ones[-1].sendall(flood_head(100000))
    alive()
    for connection in open_ones:
        connection.close()
    alive()


@attempt("wearing out", "five hundred connections", limit=30)
def _():
    open_ones = []
    for _ in range(500):
        try:
            open_ones.append(dial(0.5))
        except OSError:
            break
    try:
        get("/_ping", first=3)  # It may be refused while they stand,
    except (OSError, Silent):
        pass
    for connection in open_ones:
        connection.close()
    time.sleep(0.3)
    alive()  # but not afterwards.


@attempt("wearing out", "forty streams that nobody reads", limit=30)
def _():
    request = f"GET {V}/containers/{OID}/logs?stdout=1&stderr=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    open_ones = [dial(2.0) for _ in range(40)]
    for connection in open_ones:
        connection.sendall(request)
    time.sleep(0.5)
    try:
        get("/_ping", first=3)
    except (OSError, Silent):
        pass
    for connection in open_ones:
        connection.close()
    time.sleep(0.3)
    alive()


@attempt("wearing out", "three hundred connections that break off in the middle", limit=30)
def _():
    for number in range(300):
        with dial(2.0) as connection:
            connection.sendall(PING.encode()[: number % 60])
    alive()


@attempt("wearing out", "a hundred execs that are never started", limit=60)
def _():
    for _ in range(100):
        if not post(f"/containers/{OID}/exec", {"Cmd": ["true"]}).ok:
            break
    alive()
