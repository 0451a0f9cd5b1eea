# ── a container with more power than the one that it replaces ────────────────────────────────────────


def base():
    """The body that a plain replacement of the own container has."""
    found = get(f"/containers/{OID}/json").json() or {}
    config = found.get("Config", {})
    body = {key: config.get(key) for key in ("Image", "Cmd", "Entrypoint", "Env", "Labels", "WorkingDir", "User")}
    body = {key: value for key, value in body.items() if value not in (None, "", [])}
    body["Image"] = body.get("Image") or OWN.get("image")
    body["HostConfig"] = {"NetworkMode": found.get("HostConfig", {}).get("NetworkMode") or ONET}
    return body


def new_name():
    # As compose names a replacement before the old one goes.
    return CFG.get("replacement") or f"{OID[:12]}_{ONAME}"


def remove(container):
    if container:
        # A gateway keeps volumes; what is left of a container is as bad as the container.
        answer = ask("DELETE", f"{V}/containers/{container}?force=1{'&v=1' if CFG.get('bare') else ''}", first=15)
        if not answer.ok:
            raise Broke(f"made, and not to be removed: {answer.short()}")


def create(body, name=None, version=V, headers=None, more_query="", **options):
    """Asks for a container; returns the answer and, if it was made, what was really made. It is removed."""
    path = f"{version}/containers/create?name={urllib.parse.quote(name or new_name(), safe='')}{more_query}"
    answer = ask("POST", path, body, {"Content-Type": "application/json"} | (headers or {}), first=15, **options)
    made = None
    if answer.status == 201:
        made_id = (answer.json() or {}).get("Id", "")
        try:
            made = get(f"/containers/{made_id}/json").json() or {"Id": made_id}
        finally:
            remove(made_id)
    return answer, made


def dig(value, path):
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def has_power(path, wanted):
    """Whether the container that was made has, at `path`, what was asked for."""

    def judge(made):
        found = dig(made, path)
        if wanted is not None:
            return json.dumps(wanted, sort_keys=True) in json.dumps(found, sort_keys=True) if found else found == wanted
        return found not in (None, "", [], {})

    return judge


def power(name, host=None, top=None, judge=None, group="create"):
    """One power in an otherwise plain replacement. Broke if the container that was made has it."""

    @attempt(group, f"create with {name}")
    def _():
        body = base()
        body["HostConfig"].update(host() if callable(host) else host or {})
        body.update(top() if callable(top) else top or {})
        answer, made = create(body)
        no_leak(answer, json.dumps(body))
        if made and (judge or (lambda _: True))(made):
            raise Broke(f"made: {name}")


def host_power(name, key, value, wanted=None):
    power(name, {key: value}, judge=has_power("HostConfig." + key, wanted if wanted is not None else value))


host_power("a bind of /", "Binds", ["/:/host"])
host_power("a read-only bind of the engine's folder", "Binds", ["/var/lib/docker:/host:ro"])
host_power("a bind of the engine's socket", "Binds", ["/var/run/docker.sock:/run/docker.sock"])
power("a bind of a path with dots", {"Binds": ["/tmp/../etc:/x"]}, judge=has_power("HostConfig.Binds", None))
host_power("a foreign volume", "Binds", [FVOL + ":/x"])
host_power("the sandbox's volume", "Binds", [CFG.get("spool", FVOL) + ":/y"])
power(
    "a mount of type bind", {"Mounts": [{"Type": "bind", "Source": "/etc", "Target": "/host"}]},
    judge=has_power("HostConfig.Mounts", None),
)
power(
    "a mount of a foreign volume", {"Mounts": [{"Type": "volume", "Source": FVOL, "Target": "/x"}]},
    judge=has_power("HostConfig.Mounts", None),
)
power(
    "a volume whose driver's options bind",
    {
        "Mounts": [{
            "Type": "volume", "Source": "breakout-bind", "Target": "/x",
            "VolumeOptions": {
                "DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/etc"}}
            },
        }]
    },
    judge=lambda made: ask("DELETE", f"{V}/volumes/breakout-bind?force=1").status is not None
    and has_power("HostConfig.Mounts", None)(made),
)
power(
    "a mount whose type is in upper case", {"Mounts": [{"Type": "BIND", "Source": "/etc", "Target": "/host"}]},
    judge=has_power("HostConfig.Mounts", None),
)
power(
    "a bind with shared propagation",
    {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host", "BindOptions": {"Propagation": "rshared"}}]},
    judge=has_power("HostConfig.Mounts", None),
)
host_power("another volume driver", "VolumeDriver", "local")
host_power("privileged", "Privileged", True)
for _mode in ("PidMode", "IpcMode", "UTSMode", "UsernsMode", "CgroupnsMode", "NetworkMode"):
    host_power(f"{_mode} of the host", _mode, "host")
for _mode in ("PidMode", "IpcMode", "NetworkMode"):
    power(
        f"{_mode} of a foreign container", {_mode: "container:" + FNAME},
        judge=lambda made, mode=_mode: str(dig(made, "HostConfig." + mode)).startswith("container:"),
    )
    power(
        f"{_mode} of the agent's container", {_mode: "container:" + AGENT},
        judge=lambda made, mode=_mode: str(dig(made, "HostConfig." + mode)).startswith("container:"),
    )
host_power("the cgroup of another container", "Cgroup", "container:" + FNAME)
host_power("the default bridge network", "NetworkMode", "bridge")
host_power("the network called default", "NetworkMode", "default")
host_power("a foreign network", "NetworkMode", FNET)
host_power("a foreign network by id", "NetworkMode", FNETID)
power(
    "a foreign network beside its own", top={"NetworkingConfig": {"EndpointsConfig": {FNET: {}}}},
    host={"NetworkMode": FNET}, judge=has_power("NetworkSettings.Networks", None),
)
host_power("a capability", "CapAdd", ["SYS_ADMIN"])
host_power("the capability NET_ADMIN", "CapAdd", ["NET_ADMIN"])
host_power("all capabilities", "CapAdd", ["ALL"])
host_power("capabilities by their old name", "Capabilities", ["CAP_SYS_ADMIN"])
power(
    "a device",
    {"Devices": [{"PathOnHost": "/dev/mem", "PathInContainer": "/dev/mem", "CgroupPermissions": "rwm"}]},
    judge=has_power("HostConfig.Devices", None),
)
host_power("device rules", "DeviceCgroupRules", ["a *:* rwm"])
power(
    "a device request", {"DeviceRequests": [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]},
    judge=has_power("HostConfig.DeviceRequests", None),
)
for _option in ("seccomp=unconfined", "apparmor=unconfined", "label=disable", "systempaths=unconfined"):
    host_power(f"the security option {_option}", "SecurityOpt", [_option])
host_power("another cgroup parent", "CgroupParent", "/")
host_power("another runtime", "Runtime", "io.containerd.runc.v2")
host_power("the volumes of a foreign container", "VolumesFrom", [FNAME])
host_power("the volumes of the agent's container", "VolumesFrom", [AGENT])
power("nothing masked", {"MaskedPaths": []}, judge=lambda made: dig(made, "HostConfig.MaskedPaths") == [])
power("nothing read-only", {"ReadonlyPaths": []}, judge=lambda made: dig(made, "HostConfig.ReadonlyPaths") == [])
host_power("a sysctl", "Sysctls", {"net.ipv4.ip_forward": "1"})
power(
    "logs sent elsewhere",
    {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "udp://192.0.2.1:514"}}},
    judge=lambda made: dig(made, "HostConfig.LogConfig.Type") == "syslog",
)
power(
    "a published port", {"PortBindings": {"8000/tcp": [{"HostPort": "0"}]}}, {"ExposedPorts": {"8000/tcp": {}}},
    judge=has_power("HostConfig.PortBindings", None),
)
host_power("all ports published", "PublishAllPorts", True)
host_power("names of other hosts", "ExtraHosts", ["redis:192.0.2.1"])
host_power("another name server", "Dns", ["192.0.2.1"])
host_power("a link to a foreign container", "Links", [FNAME + ":x"])
host_power("a kill score below all others", "OomScoreAdj", -1000)
host_power("no kill for want of memory", "OomKillDisable", True)
host_power("a group of the host", "GroupAdd", ["0", "docker"])
host_power("storage options", "StorageOpt", {"size": "1G"})
host_power("a file for its id", "ContainerIDFile", "/tmp/breakout-id")
host_power("a swap beyond bounds", "KernelMemoryTCP", 1 << 30)
power(
    "another image", top=lambda: {"Image": FOREIGN["image"]},
    judge=lambda made: made.get("Image") == FOREIGN["image_id"],
)
power("another image by id", top=lambda: {"Image": FOREIGN["image_id"]})
power(
    "another project's label", top={"Labels": {"com.docker.compose.project": FPROJECT}},
    judge=lambda made: (dig(made, "Config.Labels") or {}).get("com.docker.compose.project") == FPROJECT,
)
power(
    "no labels at all", top={"Labels": {}},
    judge=lambda made: "com.docker.compose.project" not in (dig(made, "Config.Labels") or {}),
)
power(
    "the operator's own labels", top={"Labels": {"operator.dev/installation": "x", "operator.dev/session": "x"}},
    judge=lambda made: "operator.dev/session" in (dig(made, "Config.Labels") or {}),
)
power(
    "the own label on a foreign network", host={"NetworkMode": FNET},
    judge=lambda made: dig(made, "HostConfig.NetworkMode") == FNET,
)


@attempt("create", "create under a foreign container's name")
def _():
    for name in (FNAME, "/" + FNAME):
        answer, made = create(base(), name=name)
        if made:
            raise Broke("made under that name")
        no_leak(answer, FNAME)


@attempt("create", "create under names that are none")
def _():
    for name in ("../x", "a/b", "x" * 5000, "%00", "-v", "a b", "ä"):
        answer, made = create(base(), name=name)
        if made and made.get("Name") not in ("/" + new_name(),):
            raise Broke(f"made as {made.get('Name')}")
        no_leak(answer)


@attempt("create", "create for another platform")
def _():
    answer, made = create(base() | {"HostConfig": {"Privileged": True}}, more_query="&platform=linux/amd64")
    if made:
        raise Broke("made privileged")


@attempt("create", "rename the own container to a foreign name")
def _():
    path = f"/containers/{OID}/rename?name={FNAME}"
    answer = post(path)
    if answer.ok:
        post(f"/containers/{OID}/rename?name={ONAME}")
    not_done(answer, path)


@attempt("create", "start with a host configuration in the body")
def _():
    for version in ("/v1.41", "/v1.23", "/v1.18", ""):
        ask("POST", f"{version}/containers/{OID}/start", {"Binds": ["/:/host"], "Privileged": True})
    found = get(f"/containers/{OID}/json").json() or {}
    if dig(found, "HostConfig.Privileged") or "/:/host" in (dig(found, "HostConfig.Binds") or []):
        raise Broke("the container has it")


def update(name, body, path):
    @attempt("create", f"update with {name}")
    def _():
        post(f"/containers/{OID}/update", body)
        found = get(f"/containers/{OID}/json").json() or {}
        if dig(found, path) not in (None, [], "", {}, 0, False):
            raise Broke(f"{path} is {dig(found, path)}")


update("devices", {"Devices": [{"PathOnHost": "/dev/mem", "PathInContainer": "/dev/mem"}]}, "HostConfig.Devices")
update("device rules", {"DeviceCgroupRules": ["a *:* rwm"]}, "HostConfig.DeviceCgroupRules")
update("a cgroup parent", {"CgroupParent": "/"}, "HostConfig.CgroupParent")
update("privileged", {"Privileged": True, "HostConfig": {"Privileged": True}}, "HostConfig.Privileged")
update("block devices of the host", {"BlkioDeviceReadBps": [{"Path": "/dev/vda", "Rate": 1}]}, "HostConfig.BlkioDeviceReadBps")


# ── exec ─────────────────────────────────────────────────────────────────────────────────────────────


def run_exec(container, body, word):
    """Announces and runs: the answer of the start, and what was announced if it really ran."""
    announced = post(f"/containers/{container}/exec", {"AttachStdout": True, "AttachStderr": True} | body)
    exec_id = (announced.json() or {}).get("Id", "") if announced.ok else ""
    if not exec_id:
        return announced, None
    found = get(f"/exec/{exec_id}/json").json() or {"ID": exec_id}
    started = post(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False}, first=35)
    return started, found if word in started.text else None


@attempt("exec", "a privileged exec")
def _():
    for body in ({"Privileged": True}, {"privileged": True}, {"PRIVILEGED": True}):
        announced = post(f"/containers/{OID}/exec", {"AttachStdout": True, "Cmd": ["true"]} | body)
        exec_id = (announced.json() or {}).get("Id", "")
        # Not started: that it is announced so suffices.
        if exec_id and dig(get(f"/exec/{exec_id}/json").json() or {}, "ProcessConfig.privileged"):
            raise Broke(f"announced with {body}")


@attempt("exec", "an exec whose start asks for more")
def _():
    announced = post(f"/containers/{OID}/exec", {"AttachStdout": True, "Cmd": ["true"]})
    exec_id = (announced.json() or {}).get("Id", "")
    if not exec_id:
        return
    post(f"/exec/{exec_id}/start", {"Detach": False, "Privileged": True, "Cmd": ["cat", "/etc/shadow"]})
    found = get(f"/exec/{exec_id}/json").json() or {}
    if dig(found, "ProcessConfig.privileged"):
        raise Broke("it is privileged")


def host_equal(name, kind, function):
    @attempt("host-equal containers", name, limit=40)
    def _():
        container = (CFG.get("host_equal") or {}).get(kind)
        if not container:
            raise Skipped("the test named none")
        function(container)


def exec_there(container):
    answer, ran = run_exec(container, {"Cmd": ["echo", "breakout-was-here"]}, "breakout-was-here")
    if ran:
        raise Broke("the command ran in a container that has the host's files")


def copy_in_there(container):
    not_done(ask("PUT", f"{V}/containers/{container}/archive?path=/tmp", tar_of("breakout", b"x")))


def copy_out_there(container):
    not_done(get(f"/containers/{container}/archive?path=/host/etc/hostname"))


def start_there(container):
    answer = post(f"/containers/{container}/start")
    if answer.ok:
        post(f"/containers/{container}/kill")
        raise Broke("it was started")


def attach_there(container):
    answer = post(f"/containers/{container}/attach?stdin=1&stream=1", headers=UPGRADE)
    if answer.ok:
        raise Broke(answer.short())


def join_there(container):
    body = base()
    body["HostConfig"]["PidMode"] = "container:" + container
    answer, made = create(body)
    if made:
        raise Broke("a container stands in its process namespace")
    body = base()
    body["HostConfig"]["VolumesFrom"] = [container]
    answer, made = create(body)
    if made:
        raise Broke("a container has its volumes")


def replace_there(container):
    """A replacement of a powerful container is as powerful as that."""
    found = get(f"/containers/{container}/json").json() or {}
    body = base()
    body["Labels"] = dig(found, "Config.Labels") or body.get("Labels")
    body["HostConfig"]["Binds"] = dig(found, "HostConfig.Binds") or ["/etc:/host/etc"]
    answer, made = create(body, name="breakout-like-it")
    if made and dig(made, "HostConfig.Binds"):
        raise Broke("made with the same binds")


host_equal("exec in a container with the host's files", "running", exec_there)
host_equal("copy into a container with the host's files", "running", copy_in_there)
host_equal("copy the host's files out of a container that has them", "running", copy_out_there)
host_equal("attach with input to a container with the host's files", "running", attach_there)
host_equal("start a container with the host's files", "stopped", start_there)
host_equal("join a container with the host's files", "running", join_there)
host_equal("replace a container with the host's files", "running", replace_there)
