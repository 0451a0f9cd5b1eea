# ── requests that two readers may read in two ways: paths, queries, JSON ─────────────────────────────

TARGET = f"/containers/{FNAME}/json"


def line(name, text, group="paths", headers=b"", limit=12):
    """A request line by hand that aims at a foreign container: its id must not come back."""

    @attempt(group, name, limit=limit)
    def _():
        target = text() if callable(text) else text
        target = target.encode("latin-1") if isinstance(target, str) else target
        request = target + b" HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n" + headers + b"\r\n"
        answer = raw(request, whole=False)
        no_leak(answer, target.decode("latin-1") + FNAME)
        location = re.search(r"(?im)^location: *(\S+)", answer.head)
        if location:  # What a client that follows would get.
            no_leak(raw(b"GET " + location[1].encode() + b" HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"), FNAME)


line("two dots", lambda: f"GET {V}/containers/{OID}/../{FNAME}/json")
line("two dots at the beginning", lambda: f"GET /../..{V}{TARGET}")
line("dots that are encoded", lambda: f"GET {V}/containers/{OID}/%2e%2e/{FNAME}/json")
line("dots that are encoded twice", lambda: f"GET {V}/containers/{OID}/%252e%252e/{FNAME}/json")
line("two slashes", lambda: f"GET //v1.41//containers//{FNAME}//json")
line("two slashes before the call", lambda: f"GET {V}//containers/{FNAME}/json")
line("a dot between slashes", lambda: f"GET {V}/./containers/./{FNAME}/./json")
line("an encoded slash", lambda: f"GET {V}/containers/{OID}%2f..%2f{FNAME}/json")
line("an encoded slash after the name", lambda: f"GET {V}/containers/{FNAME}%2fjson")
line("an encoded NUL", lambda: f"GET {V}/containers/{FNAME}%00/json")
line("a NUL between own and foreign", lambda: f"GET {V}/containers/{OID}%00{FNAME}/json")
line("a NUL as it is", lambda: f"GET {V}/containers/{FNAME}\0/json")
line("letters that are encoded", lambda: f"GET {V}/%63ontainers/%{ord(FNAME[0]):02x}{FNAME[1:]}/%6ason")
line("an overlong slash", lambda: f"GET {V}/containers/{OID}%c0%af..%c0%af{FNAME}/json")
line("a backslash", lambda: f"GET {V}\\containers\\{FNAME}\\json")
line("no version", lambda: f"GET {TARGET}")
line("version 1.12", lambda: f"GET /v1.12{TARGET}")
line("version 1.24", lambda: f"GET /v1.24{TARGET}")
line("version 9.9", lambda: f"GET /v9.9{TARGET}")
line("a version twice", lambda: f"GET /v1.41/v1.41{TARGET}")
line("a version of letters", lambda: f"GET /vlatest{TARGET}")
line("a version in upper case", lambda: f"GET /V1.41{TARGET}")
line("a version that is huge", lambda: f"GET /v1.{'9' * 4000}{TARGET}")
line("the absolute form", lambda: f"GET http://docker{V}{TARGET}")
line("the absolute form with another host", lambda: f"GET http://127.0.0.1:2375{V}{TARGET}")
line("the absolute form with a file", "GET file:///etc/passwd")
line("the authority form", lambda: f"GET {FNAME}:8000")
line("the asterisk", "GET *")
line("OPTIONS for the asterisk", "OPTIONS *")
line("CONNECT to an address", "CONNECT 127.0.0.1:22")
line("CONNECT to a foreign container", lambda: f"CONNECT {FOREIGN.get('address', FNAME)}:8000")
line("a path of a megabyte", lambda: f"GET {V}/containers/{'a' * (1 << 20)}/../{FNAME}/json")
line("a path of ten thousand steps", lambda: f"GET {V}/{'x/' * 10000}{'../' * 10001}containers/{FNAME}/json")
line("bytes that are no ASCII", lambda: f"GET {V}/containers/{FNAME}\xff\xfe/json")
line("a name in full-width letters", lambda: (f"GET {V}/containers/" + FNAME.replace("o", "ｏ") + "/json").encode())
line("a trailing slash", lambda: f"GET {V}{TARGET}/")
line("a parameter of the path", lambda: f"GET {V}/containers/{FNAME};x=1/json;y")
line("a fragment", lambda: f"GET {V}/containers/{OID}/json#/../../{FNAME}/json")
line("a fragment before the foreign", lambda: f"GET {V}{TARGET}#")
line("an encoded question mark", lambda: f"GET {V}{TARGET}%3fsize=1")
line("a tab in the line", lambda: f"GET\t{V}{TARGET}")
line("a space in the path", lambda: f"GET {V}{TARGET} x")
line("a line break that is encoded", lambda: f"GET {V}/containers/{OID}%0d%0a/../{FNAME}/json")
line("a method in small letters", lambda: f"get {V}{TARGET}")
line("a short path of a short name", lambda: f"GET {V}/containers/{FNAME[:-1]}%{ord(FNAME[-1]):02X}/json")


def injected(name, query):
    """Text in a parameter that would become a second request if it were passed on as it is."""
    line(name, lambda: f"GET {V}/containers/{OID}/" + query(), "queries")


SECOND = lambda: urllib.parse.quote(f" HTTP/1.1\r\nHost: x\r\n\r\nGET {V}{TARGET} HTTP/1.1\r\nHost: x\r\n\r\n")
injected("a second request in tail", lambda: f"logs?stdout=1&tail=1{SECOND()}")
injected("a second request in since", lambda: f"logs?stdout=1&since=1{SECOND()}")
injected("a second request in ps_args", lambda: f"top?ps_args=aux{SECOND()}")
injected("a second request in a path of the archive", lambda: f"archive?path=/etc/hostname{SECOND()}")


@attempt("queries", "every process of the machine by the arguments of top")
def _():
    for arguments in ("aux", "-ef", "axe", "-eo pid,args", "-eo args,pid", "-o pid,args -e", "-C sleep -o pid,args", "--help"):
        answer = get(f"/containers/{OID}/top", query={"ps_args": arguments})
        no_leak(answer)


@attempt("queries", "a file of the host by the path of the archive")
def _():
    name, secret = (CFG.get("host_file") or ["", ""])
    for path in (name, "/../../../.." + name, "/proc/1/root" + name, "/proc/self/root" + name, "//" + name, name + "/."):
        answer = get(f"/containers/{OID}/archive", query={"path": path}, cap=1 << 16)
        if secret and secret.encode() in answer.raw:
            raise Broke(f"the host's file came by {path}")


def query(name, text, path="/containers/json"):
    @attempt("queries", name)
    def _():
        answer = ask("GET", f"{V}{path}?{text()}")
        if FID in answer.text or AGENT and AGENT in answer.text or FNETID in answer.text:
            raise Broke("foreign things are in the list")


quoted = lambda value: urllib.parse.quote(value if isinstance(value, str) else json.dumps(value))
BY_FOREIGN = lambda: quoted({"label": ["com.docker.compose.project=" + FPROJECT]})
BY_OWN = lambda: quoted({"label": ["com.docker.compose.project=" + OWN.get("project", "")]})
query("filters twice, the foreign last", lambda: f"all=1&filters={BY_OWN()}&filters={BY_FOREIGN()}")
query("filters twice, the foreign first", lambda: f"all=1&filters={BY_FOREIGN()}&filters={BY_OWN()}")
query("all twice", lambda: "all=0&all=1")
query("an unknown parameter", lambda: "all=1&everything=1&project=*")
query("filters by a name in other case", lambda: f"all=1&Filters={BY_FOREIGN()}")
query("filters by an encoded name", lambda: f"all=1&%66ilters={BY_FOREIGN()}")
query("filters behind a semicolon", lambda: f"all=1;filters={BY_FOREIGN()}")
query("filters that are an array", lambda: "all=1&filters=" + quoted([["label"]]))
query("filters that are a number", lambda: "all=1&filters=1")
query("filters that are null", lambda: "all=1&filters=null")
query("filters that are text", lambda: "all=1&filters=" + quoted('"label"'))
query("filters that nest deeply", lambda: "all=1&filters=" + quoted('{"label":' + "[" * 3000 + "]" * 3000 + "}"))
query("filters that are empty", lambda: "all=1&filters=" + quoted({"label": []}))
query("filters with an empty label", lambda: "all=1&filters=" + quoted({"label": [""]}))
query("filters that negate", lambda: "all=1&filters=" + quoted({"label!": ["com.docker.compose.project=" + OWN.get("project", "")]}))
query("filters with a key twice", lambda: "all=1&filters=" + quoted('{"label":["x"],"label":["com.docker.compose.project"]}'))
query("filters with an escaped key", lambda: "all=1&filters=" + quoted('{"\\u006cabel":["com.docker.compose.project=' + FPROJECT + '"]}'))
query("filters whose label is false", lambda: "all=1&filters=" + quoted({"label": {"com.docker.compose.project": False}}))
query("filters of a hundred kilobytes", lambda: "all=1&filters=" + quoted({"name": ["x" * 100000]}))
query("a label that ends early", lambda: "all=1&filters=" + quoted({"label": ["com.docker.compose.project=" + OWN.get("project", "") + "\0"]}))
query("filters of networks with the foreign id", lambda: "filters=" + quoted({"id": [FNETID]}), "/networks")
query("a limit that is negative", lambda: "all=1&limit=-1")
query("a limit beyond all numbers", lambda: "all=1&limit=99999999999999999999")


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────


def twisted(name, twist, headers=None, judge=None, limit=20, more_query=""):
    """A body in which `privileged` hides from a reader that is not Go's."""

    @attempt("JSON", name, limit=limit)
    def _():
        body = base()
        text = twist(body)
        text = text.encode() if isinstance(text, str) else text
        answer, made = create(text, headers=headers, more_query=more_query)
        no_leak(answer, text[:4096].decode("latin-1"))
        if made and (judge or has_power("HostConfig.Privileged", True))(made):
            raise Broke("made with what was hidden")


def with_host(body, extra):
    """The body as text, with `extra` as the last text of its HostConfig."""
    host = json.dumps(body.pop("HostConfig"))[:-1] + "," + extra + "}"
    return json.dumps(body)[:-1] + ',"HostConfig":' + host + "}"


def with_top(body, extra):
    return json.dumps(body)[:-1] + "," + extra + "}"


twisted("privileged in small letters", lambda body: with_host(body, '"privileged":true'))
twisted("privileged in capitals", lambda body: with_host(body, '"PRIVILEGED":true'))
twisted("privileged twice, true last", lambda body: with_host(body, '"Privileged":false,"Privileged":true'))
twisted("privileged twice, true first", lambda body: with_host(body, '"Privileged":true,"privileged":false'), judge=has_power("HostConfig.Privileged", True))
twisted("privileged in an escaped key", lambda body: with_host(body, '"\\u0050rivileged":true'))
twisted("hostconfig in small letters", lambda body: with_top(body, '"hostconfig":{"Privileged":true}'))
twisted("HOSTCONFIG in capitals", lambda body: with_top(body, '"HOSTCONFIG":{"Privileged":true}'))
twisted("HostConfig twice", lambda body: with_top(body, '"HostConfig":{"Privileged":true}'))
twisted("HostConfig with a long s", lambda body: with_top(body, '"Ho\u017ftConfig":{"Privileged":true}'))
twisted("a bind by a Kelvin sign", lambda body: with_host(body, '"Ma\u017f\u212aedPath\u017f":[]'), judge=lambda made: dig(made, "HostConfig.MaskedPaths") == [])
twisted("binds in small letters", lambda body: with_host(body, '"binds":["/etc:/host"]'), judge=has_power("HostConfig.Binds", None))
twisted("an unknown field", lambda body: with_top(body, '"Unknown":{"HostConfig":{"Privileged":true}}'))
twisted("an unknown field of HostConfig", lambda body: with_host(body, '"Unknown":1'))
twisted("nesting of 200", lambda body: with_top(body, '"X":' + "[" * 200 + "]" * 200))
twisted("nesting of 100 000", lambda body: with_top(body, '"X":' + "[" * 100000 + "]" * 100000))
twisted("nesting of 100 000 that does not close", lambda body: with_top(body, '"X":' + '{"a":' * 100000)[:-1])
twisted("a second document behind it", lambda body: json.dumps(body) + '{"HostConfig":{"Privileged":true}}')
twisted("a first document before it", lambda body: json.dumps(body | {"HostConfig": {"Privileged": True}}) + json.dumps(body))
twisted("garbage behind it", lambda body: with_host(body, '"Privileged":true') + "garbage")
twisted("a byte order mark", lambda body: b"\xef\xbb\xbf" + with_host(body, '"Privileged":true').encode())
twisted("a NUL behind it", lambda body: with_host(body, '"Privileged":true').encode() + b"\0")
twisted("a NUL in a key", lambda body: with_host(body, '"Privileged\\u0000":true'))
twisted("UTF-16", lambda body: with_host(body, '"Privileged":true').encode("utf-16"), {"Content-Type": "application/json; charset=utf-16"})
twisted("bytes that are no UTF-8", lambda body: with_host(body, '"Privileged":true,"X":"').encode()[:-2] + b'\xff\xfe"}}')
twisted("half a surrogate pair", lambda body: with_host(body, '"Privileged":true,"CgroupParent":"\\ud800"'))
twisted("comments", lambda body: with_host(body, '/* "X":1, */ "Privileged":true'))
twisted("a number as text", lambda body: with_host(body, '"Memory":"1","Privileged":true'))
twisted("a number beyond all numbers", lambda body: with_host(body, '"Memory":1e400,"Privileged":true'))
twisted("true as a number", lambda body: with_host(body, '"Privileged":1'))
twisted("true as text", lambda body: with_host(body, '"Privileged":"true"'))
twisted("an array around it", lambda body: "[" + with_host(body, '"Privileged":true') + "]")
twisted("text around it", lambda body: json.dumps(with_host(body, '"Privileged":true')))
twisted("null for it", lambda body: "null")
twisted("nothing for it", lambda body: "")
twisted("another content type", lambda body: with_host(body, '"Privileged":true'), {"Content-Type": "text/plain"})
twisted("a form", lambda body: "HostConfig=%7B%22Privileged%22%3Atrue%7D", {"Content-Type": "application/x-www-form-urlencoded"})
twisted("a content encoding", lambda body: __import__("gzip").compress(with_host(body, '"Privileged":true').encode()), {"Content-Encoding": "gzip"})
twisted("Config nested in Config", lambda body: with_top(body, '"Config":{"HostConfig":{"Privileged":true}},"ContainerConfig":{"Privileged":true}'))
twisted("HostConfig in a label", lambda body: json.dumps(body | {"Labels": {"HostConfig": '{"Privileged":true}'}}))
twisted("HostConfig as null, then as an object", lambda body: with_top(body, '"HostConfig":null,"HostConfig":{"Privileged":true}'))
twisted("the name in other places", lambda body: with_top(body, f'"Name":"{FNAME}","name":"{FNAME}"'), judge=lambda made: made.get("Name") == "/" + FNAME)
twisted("old versions of create", lambda body: with_host(body, '"Privileged":true'), more_query="&version=1.12")


@attempt("JSON", "create by old and no versions", limit=30)
def _():
    for version in ("", "/v1.12", "/v1.18", "/v1.24", "/v1.99"):
        _, made = create(base() | {"HostConfig": {"Privileged": True}}, version=version)
        if made and dig(made, "HostConfig.Privileged"):
            raise Broke(f"made privileged by {version or 'no version'}")


def flood(name, head, piece, pieces, judge=None):
    @attempt("JSON", name, limit=30)
    def _():
        harm_in_bare("the engine reads all of it into its memory")
        sent, answer = 0, b""
        with dial(timeout=10) as connection:
            try:
                connection.sendall(head())
                for _ in range(pieces):
                    connection.sendall(piece)
                    sent += len(piece)
            except TimeoutError:
                raise Silent(f"it neither reads nor answers after {sent >> 20} MiB") from None
            except OSError:
                pass
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                raise Silent(f"no answer after {sent >> 20} MiB") from None
            except OSError:
                pass
        if Answer(answer).ok:
            raise Broke(Answer(answer).short())


def flood_head(length, path=None, more=""):
    path = path or f"/containers/create?name={new_name()}"
    size = f"Content-Length: {length}" if length else "Transfer-Encoding: chunked"
    return f"POST {V}{path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n{size}\r\n{more}\r\n".encode()


flood("a body of 100 MB", lambda: flood_head(100 << 20), b" " * (1 << 16), 1600)
flood("a body of 100 MB in chunks", lambda: flood_head(0), b"10000\r\n" + b" " * (1 << 16) + b"\r\n", 1600)
flood("an exec with 100 MB", lambda: flood_head(100 << 20, f"/containers/{OID}/exec"), b"[" * (1 << 16), 1600)
flood("headers of 10 MB", lambda: f"GET {V}/_ping HTTP/1.1\r\nHost: x\r\n".encode(), b"X-A: " + b"a" * 1000 + b"\r\n", 10000)
flood("a request line of 10 MB", lambda: b"GET /", b"a" * (1 << 16), 160)
