# ── other people's containers, networks, volumes, images ─────────────────────────────────────────────

FID, FNAME = FOREIGN.get("id", ""), FOREIGN.get("name", "")
FNET, FNETID, FVOL = FOREIGN.get("network", ""), FOREIGN.get("network_id", ""), FOREIGN.get("volume", "")
OID, ONAME, ONET = OWN.get("id", ""), OWN.get("name", ""), OWN.get("network", "")
FPROJECT = FOREIGN.get("project", "")
NOBODY = "0123456789ab" * 5 + "cdef"


def inspect_as(title, reference):
    @attempt("other containers", f"inspect {title}")
    def _():
        reference_text = reference()
        path = f"/containers/{reference_text}/json"
        not_done(get(path), path)


for _title, _reference in {
    "by name": lambda: FNAME,
    "by full id": lambda: FID,
    "by short id": lambda: FID[:12],
    "by id in upper case": lambda: FID.upper(),
    "by name in upper case": lambda: FNAME.upper(),
    "by name with a leading slash": lambda: "/" + FNAME,
    "by name with an encoded leading slash": lambda: "%2f" + FNAME,
    "of the agent's own container": lambda: AGENT,
    "of the agent's own container by short id": lambda: AGENT[:12],
}.items():
    inspect_as(_title, _reference)


@attempt("other containers", "inspect by prefixes of 1 to 11 letters of an id")
def _():
    for length in range(1, 12):
        answer = get(f"/containers/{FID[:length]}/json")
        if answer.ok and FID in answer.text:
            raise Broke(f"{length} letters of the id suffice")


@attempt("other containers", "inspect by an alias-like path of a network")
def _():
    not_done(get(f"/containers/{FNAME}/{ONAME}/json"), FNAME)


@attempt("other containers", "tell a foreign name from a made-up one")
def _():
    same_as_made_up(lambda name: get(f"/containers/{name}/json"), FNAME, "nobody" + FNAME[6:])


@attempt("other containers", "tell a foreign id from a made-up one")
def _():
    same_as_made_up(lambda name: get(f"/containers/{name}/json"), FID, NOBODY)


# Before what stops and starts the foreign container, for its execs end with it.
UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


@attempt("other execs", "inspect a foreign exec")
def _():
    path = f"/exec/{FOREIGN['exec']}/json"
    not_done(get(path), path)


@attempt("other execs", "resize a foreign exec", limit=40)
def _():
    path = f"/exec/{FOREIGN['exec']}/resize?h=10&w=10"
    not_reached(post(path, first=15), path)  # The engine waits 10 s for its start.
    same_as_made_up(lambda name: post(f"/exec/{name}/resize?h=10&w=10"), FOREIGN["exec"], NOBODY)


@attempt("other execs", "start a foreign exec")
def _():
    path = f"/exec/{FOREIGN['exec']}/start"
    not_done(post(path, {"Detach": False, "Tty": False}, headers=UPGRADE), path)


def on_foreign(name, method, tail, body=None, undo=(), headers=None, judge=None, limit=20):
    @attempt("other containers", name, limit=limit)
    def _():
        # By name and by id: what judges names may forget ids.
        for reference in (FNAME, FID):
            path = f"{V}/containers/{reference}/{tail}".rstrip("/")
            answer = ask(method, path, body() if callable(body) else body, headers, cap=1 << 16)
            try:
                (judge or not_reached)(answer, path)
            finally:
                for undoing, undo_path in undo if answer.ok else ():
                    ask(undoing, f"{V}/containers/{FID}/{undo_path}", first=15)


def tar_of(name, content):
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


on_foreign("logs of another", "GET", "logs?stdout=1&stderr=1&tail=10")
on_foreign("logs -f of another", "GET", "logs?stdout=1&follow=1")
on_foreign("top of another", "GET", "top")
on_foreign("top of another with arguments", "GET", "top?ps_args=aux")
on_foreign("stats of another", "GET", "stats?stream=0&one-shot=1")
on_foreign("changes of another", "GET", "changes")
on_foreign("archive: read a file of another", "GET", "archive?path=/etc/hostname")
on_foreign("archive: stat a file of another", "HEAD", "archive?path=/etc/hostname")
on_foreign(
    "archive: write a file into another", "PUT", "archive?path=/tmp", lambda: tar_of("breakout", b"x"),
    headers={"Content-Type": "application/x-tar"},
)
on_foreign("export of another", "GET", "export")
on_foreign("attach to another", "POST", "attach?stream=1&stdout=1&stdin=1", headers=UPGRADE)
on_foreign(
    "attach to another by websocket", "GET", "attach/ws?stream=1&stdout=1",
    headers={
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Origin": "http://docker",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    },
)
on_foreign("wait for another", "POST", "wait")
on_foreign("resize the terminal of another", "POST", "resize?h=24&w=80")
on_foreign(
    "rename another", "POST", "rename?name=" + FNAME + "-breakout", undo=[("POST", "rename?name=" + FNAME)]
)
on_foreign("update another", "POST", "update", {"CpuShares": 512})
on_foreign("start another", "POST", "start")
on_foreign("stop another", "POST", "stop?t=0", undo=[("POST", "start")])
on_foreign("restart another", "POST", "restart?t=0")
on_foreign("kill another", "POST", "kill?signal=CONT")
on_foreign("pause another", "POST", "pause", undo=[("POST", "unpause")])
on_foreign("unpause another", "POST", "unpause")
on_foreign("remove another", "DELETE", "")  # It runs: the engine itself only says so.
on_foreign("exec in another", "POST", "exec", {"Cmd": ["true"], "AttachStdout": True})
on_foreign("privileged exec in another", "POST", "exec", {"Cmd": ["true"], "Privileged": True, "User": "0"})
on_foreign("copy of old, from another", "POST", "copy", {"Resource": "/etc/hostname"}, judge=not_done)
on_foreign("checkpoints of another", "GET", "checkpoints", judge=not_done)


@attempt("other containers", "exec as root in the agent's own container")
def _():
    for reference in (AGENT, AGENT[:12], CFG.get("agent_name") or AGENT):
        not_done(post(f"/containers/{reference}/exec", {"Cmd": ["id"], "User": "0"}), reference)


@attempt("other containers", "stop, restart or copy into the agent's own container")
def _():
    path = f"/containers/{AGENT}/kill?signal=CONT"
    not_done(post(path), path)
    not_done(ask("PUT", f"{V}/containers/{AGENT}/archive?path=/tmp", tar_of("breakout", b"x")), AGENT)


# ── lists and their filters ──────────────────────────────────────────────────────────────────────────


def listing(name, path, query=None, group="lists"):
    @attempt(group, name)
    def _():
        answer = get(path, query=query() if callable(query) else query)
        no_leak(answer, json.dumps(query() if callable(query) else query or {}))


def listing_all(name, value):
    """A list of which every entry would be foreign: what the filter says is what we sent, so ids tell."""

    @attempt("lists", name)
    def _():
        answer = get("/containers/json", query={"all": "1", **filters(value())})
        if FID and FID in answer.text or AGENT and AGENT in answer.text:
            raise Broke("the list has a foreign container")


listing("all containers", "/containers/json?all=1")
listing("all containers with sizes", "/containers/json?all=1&size=1")
listing("the last container", "/containers/json?limit=1")
listing_all("containers by the other project's label", lambda: {"label": ["com.docker.compose.project=" + FPROJECT]})
listing_all("containers by the label's old form", lambda: {"label": {"com.docker.compose.project=" + FPROJECT: True}})
listing_all("containers by name", lambda: {"name": [FNAME]})
listing_all("containers by a pattern of names", lambda: {"name": [".*"]})
listing_all("containers by id", lambda: {"id": [FID]})
listing_all("containers by image", lambda: {"ancestor": [FOREIGN.get("image", "")]})
listing_all("containers by network", lambda: {"network": [FNET]})
listing_all("containers by network id", lambda: {"network": [FNETID]})
listing_all("containers by volume", lambda: {"volume": [FVOL]})
listing_all("containers since one of its own", lambda: {"since": [ONAME]})
listing_all("containers before the newest", lambda: {"before": [ONAME]})
listing_all("containers of the operator's label", lambda: {"label": ["operator.dev/installation"]})
listing_all("containers that run", lambda: {"status": ["running"]})
listing_all("containers that are no task", lambda: {"is-task": ["false"]})


@attempt("lists", "tell a foreign name from a made-up one by since and before")
def _():
    for word in ("since", "before"):
        same_as_made_up(
            lambda name, word=word: get("/containers/json", query={"all": "1", **filters({word: [name]})}),
            FNAME, "nobody" + FNAME[6:],
        )


listing("all networks", "/networks")
listing("networks by name", "/networks", lambda: filters({"name": [FNET[:6]]}))
listing("networks by the other project's label", "/networks", lambda: filters({"label": ["com.docker.compose.project"]}))
listing("networks of type builtin", "/networks", lambda: filters({"type": ["custom"]}))
listing("all volumes", "/volumes")
listing("volumes by label", "/volumes", lambda: filters({"label": ["com.docker.compose.project"]}))
listing("volumes in use", "/volumes", lambda: filters({"dangling": ["false"]}))
listing("all images", "/images/json?all=1")
listing("images by reference", "/images/json", lambda: filters({"reference": ["*"]}))
listing("events of the past", "/events", lambda: {"since": "0", "until": str(int(time.time()) + 1)}, "events")
listing(
    "events of a foreign container", "/events",
    lambda: {"since": "0", "until": str(int(time.time()) + 1), **filters({"container": [FNAME]})}, "events",
)
listing(
    "events of networks", "/events",
    lambda: {"since": "0", "until": str(int(time.time()) + 1), **filters({"type": ["network"]})}, "events",
)
listing(
    "events of everything else", "/events",
    lambda: {
        "since": "0", "until": str(int(time.time()) + 1),
        **filters({"type": ["volume", "image", "daemon", "plugin", "service", "node", "secret", "config", "builder"]}),
    }, "events",
)


@attempt("events", "events as they come, of everybody")
def _():
    no_leak(get("/events", linger=1.5, whole=False, first=6))


@attempt("other networks", "info says who else is here")
def _():
    answer = no_leak(get("/info"))
    if CFG.get("engine_id") and CFG["engine_id"] in answer.text:
        raise Broke("the engine's own id is in the answer")


@attempt("other networks", "inspect of the own network names who else stands on it")
def _():
    for query in ("", "?verbose=true", "?scope=local"):
        no_leak(get(f"/networks/{ONET}{query}"))


for _title, _name in {"by name": FNET, "by id": FNETID, "by short id": FNETID[:12], "by prefix": FNETID[:5]}.items():

    @attempt("other networks", f"inspect a foreign network {_title}")
    def _(name=_name):
        not_done(get(f"/networks/{name}"), name)


@attempt("other networks", "inspect bridge, host and none")
def _():
    for name in ("bridge", "host", "none"):
        not_done(get(f"/networks/{name}"), name)


@attempt("other networks", "remove a foreign network")
def _():
    for name in (FNET, FNETID):
        not_reached(ask("DELETE", f"{V}/networks/{name}"), name)


def connecting(name, network, container):
    @attempt("other networks", name)
    def _():
        path = f"/networks/{network}/connect"
        answer = post(path, {"Container": container})
        if answer.ok:
            post(f"/networks/{network}/disconnect", {"Container": container, "Force": True})
        not_done(answer, path + container)


connecting("connect a foreign container to the own network", ONET, FNAME)
connecting("connect a foreign container by id to the own network", ONET, FID)
connecting("connect the own container to a foreign network", FNET, OID)
connecting("connect the own container to a foreign network by id", FNETID, OID)
connecting("connect the own container to the default bridge", "bridge", OID)
connecting("connect the own container to the host's network", "host", OID)
connecting("connect the agent's container to a foreign network", FNET, AGENT)


@attempt("other networks", "connect with a link to a foreign container")
def _():
    other = CFG.get("own_network2") or ONET
    body = {"Container": OID, "EndpointConfig": {"Links": [FNAME + ":x"]}}
    answer = post(f"/networks/{other}/connect", body)
    if answer.ok:
        post(f"/networks/{other}/disconnect", {"Container": OID, "Force": True})
        raise Broke(answer.short())


@attempt("other networks", "disconnect a foreign container")
def _():
    for network, container in ((FNET, FNAME), (FNETID, FID), (ONET, FNAME), (ONET, AGENT)):
        answer = post(f"/networks/{network}/disconnect", {"Container": container})
        if answer.ok:
            post(f"/networks/{network}/connect", {"Container": container})
        not_done(answer, network + container)


@attempt("other volumes", "inspect a foreign volume")
def _():
    not_done(get(f"/volumes/{FVOL}"), FVOL)
    same_as_made_up(lambda name: get(f"/volumes/{name}"), FVOL, "nobody" + FVOL[6:])


@attempt("other volumes", "remove a foreign volume")
def _():
    not_reached(ask("DELETE", f"{V}/volumes/{FVOL}"), FVOL)  # It is in use: the engine itself only says so.


@attempt("other images", "inspect a foreign image")
def _():
    image = FOREIGN["image"]
    for name in (image, FOREIGN["image_id"], FOREIGN["image_id"].removeprefix("sha256:")[:12]):
        not_done(get(f"/images/{urllib.parse.quote(name, safe='')}/json"), name)


@attempt("other images", "history and export of a foreign image")
def _():
    image = FOREIGN["image"]
    not_done(get(f"/images/{image}/history"), image)
    not_done(get(f"/images/{image}/get", cap=4096), image)
    not_done(get(f"/images/get?names={image}", cap=4096), image)
