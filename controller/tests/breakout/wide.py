# ── what is the whole engine's: images, builds, swarm, plugins, prune ────────────────────────────────

NEVER = filters({"label": ["breakout.never=never"]})  # Nothing has it, so nothing goes even if it works.
SCRATCH = "breakout-scratch:" + (FID[:8] or "x")


def drop_image():
    ask("DELETE", f"{V}/images/{SCRATCH}?force=1", first=15)


def wide(name, method, path, body=None, query=None, headers=None, undo=None, group="the whole engine", judge=None):
    @attempt(group, name, limit=20)
    def _():
        answer = ask(method, V + path, body() if callable(body) else body, headers, query, first=12, cap=1 << 16)
        try:
            (judge or not_reached)(answer)
        finally:
            if answer.ok and undo:
                undo()


def empty_tar():
    return b"\0" * 10240


TAR = {"Content-Type": "application/x-tar"}
H2C = {"Connection": "Upgrade", "Upgrade": "h2c"}
OTHER_ADDRESS = "127.0.0.1:9"

for _kind in ("containers", "networks", "volumes", "images"):
    wide(f"prune of {_kind}", "POST", f"/{_kind}/prune", query=NEVER)
wide("prune of the build cache", "POST", "/build/prune", query=filters({"id": ["breakout-none"]}))
wide(
    "commit of the own container", "POST", f"/commit?container={OID}&repo={SCRATCH.replace(':', '&tag=')}",
    undo=drop_image,
)
wide("commit of a foreign container", "POST", f"/commit?container={FID}&repo={SCRATCH.replace(':', '&tag=')}", undo=drop_image)
wide(
    "build", "POST", f"/build?t={SCRATCH}",
    lambda: tar_of("Dockerfile", b"FROM scratch\nLABEL breakout=1\n"), headers=TAR, undo=drop_image,
)
wide("build from an address", "POST", f"/build?remote=http://{OTHER_ADDRESS}/Dockerfile", b"", headers=TAR)
wide("cancel a build", "POST", "/build/cancel?id=breakout")
wide(
    "import of an image", "POST", f"/images/create?fromSrc=-&repo={SCRATCH.replace(':', '&tag=')}", empty_tar,
    headers=TAR, undo=drop_image,
)
wide("pull of an image", "POST", f"/images/create?fromImage={OTHER_ADDRESS}/x&tag=1")
wide("load of images", "POST", "/images/load?quiet=1", empty_tar, headers=TAR)
wide("tag of the own image", "POST", f"/images/{OWN.get('image')}/tag?repo={SCRATCH.replace(':', '&tag=')}", undo=drop_image)
wide(
    "push of the own image", "POST", f"/images/{OTHER_ADDRESS}/breakout/push?tag=1", headers={"X-Registry-Auth": "e30="}
)
wide("export of the own image", "GET", f"/images/{OWN.get('image')}/get")
wide("search for images", "GET", "/images/search?term=")
wide("distribution inspect", "GET", f"/distribution/{OTHER_ADDRESS}/x/json")
wide(
    "sign in to a registry", "POST", "/auth",
    {"username": "x", "password": "x", "serveraddress": f"http://{OTHER_ADDRESS}"},
)
wide("disk use of everybody", "GET", "/system/df")
# The engine itself refuses these here (no swarm; a wrong address): that it was asked is what must not be.
wide("swarm inspect", "GET", "/swarm")
wide("swarm init", "POST", "/swarm/init", {"ListenAddr": "breakout:nowhere:1", "AdvertiseAddr": "nowhere:x"})
wide("swarm join", "POST", "/swarm/join", {"ListenAddr": "nowhere:x:y", "RemoteAddrs": [], "JoinToken": "x"})
wide("swarm unlock key", "GET", "/swarm/unlockkey")
for _kind in ("nodes", "services", "tasks", "secrets", "configs"):
    wide(_kind, "GET", f"/{_kind}")
wide("make a secret", "POST", "/secrets/create", {"Name": "breakout", "Data": "eA=="})
wide("make a config", "POST", "/configs/create", {"Name": "breakout", "Data": "eA=="})
wide("make a service", "POST", "/services/create", {"Name": "breakout", "TaskTemplate": {}})
wide("plugins", "GET", "/plugins")
wide("privileges of a plugin", "GET", f"/plugins/privileges?remote={OTHER_ADDRESS}/x")
wide("install a plugin", "POST", f"/plugins/pull?remote={OTHER_ADDRESS}/x&name=breakout", [])
wide("enable a plugin", "POST", "/plugins/breakout-none/enable?timeout=1")
wide("session of the builder", "POST", "/session", headers=H2C)
wide("gRPC of the builder", "POST", "/grpc", headers=H2C)
wide("export of the own container", "GET", f"/containers/{OID}/export")
wide("checkpoint of the own container", "POST", f"/containers/{OID}/checkpoints", {"CheckpointID": "x", "Exit": False})
wide("debug variables", "GET", "/debug/vars")
wide("profiles of the engine's process", "GET", "/debug/pprof/cmdline")


@attempt("the whole engine", "delete of the own image", limit=20)
def _():
    # Its container runs and it has one name only: an engine that is asked says "conflict".
    not_reached(ask("DELETE", f"{V}/images/{OWN['image']}"), OWN["image"])


@attempt("the whole engine", "delete of an image by its id")
def _():
    image = OWN["image_id"]
    not_reached(ask("DELETE", f"{V}/images/{image}?noprune=1"), image)


def making(name, kind, body):
    @attempt("the whole engine", name, limit=20)
    def _():
        answer = post(f"/{kind}/create", body)
        if answer.ok:
            ask("DELETE", f"{V}/{kind}/{body['Name']}")
        not_reached(answer, json.dumps(body))


OWN_LABELS = {"com.docker.compose.project": OWN.get("project", "")}
making("make a volume", "volumes", {"Name": "breakout-plain"})
making(
    "make a volume that binds", "volumes",
    {"Name": "breakout-bind", "Driver": "local", "DriverOpts": {"type": "none", "o": "bind", "device": "/etc"}},
)
making(
    "make a volume that binds, with the own label", "volumes",
    {"Name": "breakout-b", "Labels": OWN_LABELS, "DriverOpts": {"type": "none", "o": "bind", "device": "/"}},
)
making("make a network", "networks", {"Name": "breakout-plain", "Internal": True})
making("make a network with the own label", "networks", {"Name": "breakout-own", "Internal": True, "Labels": OWN_LABELS})
making("make a macvlan network", "networks", {"Name": "breakout-macvlan", "Driver": "macvlan"})
making("make an ipvlan network", "networks", {"Name": "breakout-ipvlan", "Driver": "ipvlan"})


@attempt("the whole engine", "make a network on the host's own")
def _():
    answer = post("/networks/create", {"Name": "breakout-host", "Driver": "host"})
    if answer.ok:
        ask("DELETE", f"{V}/networks/breakout-host")
        raise Broke(answer.short())


@attempt("the whole engine", "methods that no call has")
def _():
    for method in ("PATCH", "OPTIONS", "TRACE", "PROPFIND", "CONNECT", "BREAK"):
        answer = ask(method, f"{V}/containers/{FNAME}/json")
        no_leak(answer, FNAME)
        if answer.ok and FID in answer.text:
            raise Broke(answer.short())
