# ── the container itself: processes, memory, files, devices, the kernel ──────────────────────────────

import ctypes
import errno
import glob
import signal
import stat
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
INSIDE = "the container"


def inside(name, limit=10):
    def register(function):
        def run():
            if BARE:
                raise Skipped("it is not about the socket")
            function()

        attempt(INSIDE, name, limit=limit)(run)
        return function

    return register


def readable(path, size=4096):
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


def writable(path, flags=os.O_WRONLY):
    """Opens for writing and writes nothing."""
    try:
        os.close(os.open(path, flags))
        return True
    except OSError:
        return False


def call(number, *arguments):
    """A system call on x86-64; negative errno if it fails."""
    result = LIBC.syscall(ctypes.c_long(number), *[ctypes.c_long(value) if isinstance(value, int) else value for value in arguments])
    return result if result >= 0 else -ctypes.get_errno()


def strangers():
    """Processes that are not this user's: the first one and the supervisor."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.stat(f"/proc/{entry}").st_uid != os.getuid():
                    found.append(int(entry))
            except OSError:
                pass
    return sorted(found) or [1]


def of_strangers(name, function):
    @inside(name)
    def _():
        for pid in strangers():
            function(pid)


def must_not_read(part):
    def look(pid):
        found = readable(f"/proc/{pid}/{part}")
        if found:
            raise Broke(f"/proc/{pid}/{part}: {len(found)} bytes")

    return look


def must_not_list(part):
    def look(pid):
        try:
            found = os.listdir(f"/proc/{pid}/{part}")
        except OSError:
            return
        if found:
            raise Broke(f"/proc/{pid}/{part}: {found[:5]}")

    return look


def must_not_open_memory(pid):
    for mode in (os.O_RDONLY, os.O_RDWR):
        try:
            os.close(os.open(f"/proc/{pid}/mem", mode))
        except OSError:
            continue
        raise Broke(f"/proc/{pid}/mem opens")


def must_not_trace(pid):
    for request in (16, 0x4206):  # attach, seize
        if call(101, request, pid, 0, 0) == 0:
            call(101, 17, pid, 0, 0)
            raise Broke(f"{pid} can be traced")


def must_not_read_memory(pid):
    buffer = ctypes.create_string_buffer(16)
    vector = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 16)
    remote = (ctypes.c_ulong * 2)(0x400000, 16)
    result = call(310, pid, ctypes.byref(vector), 1, ctypes.byref(remote), 1, 0)
    if result > 0 or result == -errno.EFAULT:
        raise Broke(f"the memory of {pid} can be read ({result})")


def must_not_signal(number):
    def send(pid):
        try:
            os.kill(pid, number)
        except PermissionError:
            return
        except ProcessLookupError:
            return
        raise Broke(f"signal {number} reached {pid}")

    return send


def must_not_take_descriptors(pid):
    handle = call(434, pid, 0)  # pidfd_open
    if handle >= 0 and call(438, handle, 0, 0) >= 0:  # pidfd_getfd
        raise Broke(f"a descriptor of {pid} was taken")
    if handle >= 0 and call(424, handle, 0, 0, 0) == 0:  # pidfd_send_signal
        raise Broke(f"{pid} can be signalled by its descriptor")


def must_not_join(pid):
    for name in ("mnt", "net", "pid", "user", "ipc", "uts", "cgroup"):
        try:
            handle = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
        except OSError:
            continue
        if LIBC.setns(handle, 0) == 0:
            raise Broke(f"joined the {name} namespace of {pid}")


def must_not_limit(pid):
    limits = (ctypes.c_ulong * 2)(64, 64)
    if call(302, pid, 7, ctypes.byref(limits), 0) == 0:
        raise Broke(f"the limits of {pid} can be changed")


of_strangers("the environment of processes that are not its own", must_not_read("environ"))
of_strangers("the memory of processes that are not its own", must_not_open_memory)
of_strangers("the maps of processes that are not its own", must_not_read("maps"))
of_strangers("the root of processes that are not its own", must_not_list("root"))
of_strangers("the descriptors of processes that are not its own", must_not_list("fd"))
of_strangers("tracing the supervisor", must_not_trace)
of_strangers("reading the supervisor's memory by a call", must_not_read_memory)
of_strangers("killing the supervisor", must_not_signal(signal.SIGKILL))
of_strangers("stopping the supervisor", must_not_signal(signal.SIGSTOP))
of_strangers("taking the supervisor's descriptors", must_not_take_descriptors)
of_strangers("joining the supervisor's namespaces", must_not_join)
of_strangers("limiting the supervisor", must_not_limit)


@inside("secrets in the environment")
def _():
    names = [name for name in os.environ if re.search("KEY|TOKEN|SECRET|PASSW|CREDENTIAL|ANTHROPIC|DATABASE", name.upper())]
    if names:
        raise Broke(f"{names}")


@inside("secrets where clients keep them")
def _():
    for pattern in (
        "/var/run/secrets/**", "/run/secrets/**", "/root/**", "/home/*/.docker/config.json", "/home/*/.kube/config",
        "/home/*/.aws/*", "/etc/kubernetes/**", "/var/lib/kubelet/**", "/etc/rancher/**", "/etc/docker/**",
    ):
        for path in glob.glob(pattern, recursive=True):
            if os.path.isfile(path) and readable(path):
                raise Broke(path)


@inside("the password file")
def _():
    for path in ("/etc/shadow", "/etc/gshadow"):
        if readable(path):
            raise Broke(path)


@inside("the supervisor's spool")
def _():
    for root in ("/var/lib/operator", "/var/lib/operator/spool"):
        try:
            names = os.listdir(root)
        except OSError:
            names = []
        if names and root.endswith("spool"):
            raise Broke(f"{root}: {names[:5]}")
        for path in [root + "/breakout"] + [f"{root}/{name}" for name in names]:
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            except OSError:
                continue
            os.close(handle)
            if path.endswith("breakout"):
                os.unlink(path)
            raise Broke(f"{path} can be written")


@inside("the supervisor's socket, and every other that is bound here")
def _():
    paths = {"/run/operator/supervisor.sock", "/run/operator.sock", "/run/containerd/containerd.sock", "/var/run/docker.sock"}
    for entry in open("/proc/net/unix").read().splitlines()[1:]:
        fields = entry.split()
        if len(fields) > 7:
            paths.add(fields[7])
    for root, _, names in os.walk("/run"):
        paths.update(os.path.join(root, name) for name in names)
    for path in paths:
        if os.path.exists(path) and os.path.exists(SOCKET) and os.path.samefile(path, SOCKET):
            continue
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(1)
        try:
            connection.connect("\0" + path[1:] if path.startswith("@") else path)
        except OSError:
            continue
        raise Broke(f"connected to {path}")


@inside("another socket in the place of the gateway's")
def _():
    folder = os.path.dirname(os.path.realpath(SOCKET))
    for action in (
        lambda: os.rename(SOCKET, SOCKET + ".old"),
        lambda: os.close(os.open(folder + "/breakout", os.O_CREAT | os.O_WRONLY)),
        lambda: os.chmod(SOCKET, 0o777),
        lambda: socket.socket(socket.AF_UNIX).bind(folder + "/breakout.sock"),
    ):
        try:
            action()
        except OSError:
            continue
        raise Broke(f"{folder} can be changed")


@inside("writing to the root")
def _():
    for folder in ("/", "/usr", "/usr/bin", "/usr/local/bin", "/etc", "/var", "/var/lib", "/opt", "/root", "/lib", "/dev", "/proc", "/sys", "/run"):
        path = folder.rstrip("/") + "/breakout"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError:
            continue
        os.unlink(path)
        raise Broke(f"{folder} can be written")


@inside("writing into files that are the container's, not the agent's")
def _():
    for path in ("/usr/local/bin/operator", "/etc/passwd", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/bin/bash", "/etc/ld.so.preload"):
        if writable(path):
            raise Broke(path)


@inside("the host's disks among the mounts")
def _():
    for entry in open("/proc/self/mountinfo").read().splitlines():
        fields = entry.split()
        target, kind, source = fields[4], *entry.split(" - ")[1].split()[:2]
        if kind in ("tmpfs", "devtmpfs", "proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts"):
            continue
        if target.endswith("/docker-init") and "ro" in fields[5].split(","):
            continue  # the engine's own little init, which it lays there itself
        if target in ("/", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname") or target == "/var/lib/operator" or target.startswith("/run/"):
            if target != "/" and os.access(target, os.W_OK):
                raise Broke(f"{source} at {target} can be written")
            continue
        raise Broke(f"{source} ({kind}) at {target}")


@inside("mounting")
def _():
    for source, kind, flags in ((b"x", b"tmpfs", 0), (b"proc", b"proc", 0), (b"/", b"", 4096), (b"/dev/vda", b"ext4", 0), (b"x", b"overlay", 0)):
        if LIBC.mount(source, b"/tmp", kind, ctypes.c_ulong(flags), None) == 0:
            LIBC.umount2(b"/tmp", 2)
            raise Broke(f"mounted {kind or source}")
    if LIBC.mount(None, b"/", None, ctypes.c_ulong(32), None) == 0:  # remount, writable
        raise Broke("remounted the root")
    if LIBC.umount2(b"/proc/kcore", 2) == 0:
        raise Broke("took away a mask")
    if call(428, -100, b"/", 1) >= 0 and call(430, b"tmpfs", 0) >= 0:  # open_tree, fsopen
        raise Broke("the new mount calls work")


@inside("namespaces of its own")
def _():
    for name, flag in {"user": 0x10000000, "mount": 0x20000, "net": 0x40000000, "pid": 0x20000000, "uts": 0x4000000, "ipc": 0x8000000, "cgroup": 0x2000000}.items():
        child = os.fork()
        if child == 0:
            os._exit(0 if LIBC.unshare(flag) == 0 else 1)
        if os.waitpid(child, 0)[1] == 0:
            raise Broke(f"a {name} namespace was made")


@inside("unshare -Ur as a program")
def _():
    done = subprocess.run(["unshare", "-Urmpf", "id", "-u"], capture_output=True, timeout=5)
    if done.returncode == 0:
        raise Broke(done.stdout.decode())


@inside("chroot and pivot_root")
def _():
    if LIBC.chroot(b"/tmp") == 0:
        raise Broke("chroot")
    if call(155, b"/tmp", b"/tmp") == 0:
        raise Broke("pivot_root")


@inside("becoming root")
def _():
    child = os.fork()
    if child == 0:
        for action in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.setresuid(0, 0, 0)):
            try:
                action()
            except OSError:
                continue
            os._exit(0)
        os._exit(1)
    if os.waitpid(child, 0)[1] == 0:
        raise Broke("it is root, or in its group")


@inside("setuid programs, sudo, su")
def _():
    found = []
    for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib", "/usr/libexec", "/usr/local/bin"):
        for root, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(root, name)
                try:
                    mode = os.lstat(path).st_mode
                except OSError:
                    continue
                if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                    found.append(path)
    # They may be there; what counts is that they give nothing.
    for command in (["sudo", "-n", "id", "-u"], ["su", "-c", "id -u"], ["pkexec", "id", "-u"], ["newgrp", "root"], ["mount", "-t", "tmpfs", "x", "/tmp"]):
        try:
            done = subprocess.run(command, capture_output=True, timeout=3, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            raise Broke(f"{command}: {done.stdout!r}")
    status = open("/proc/self/status").read()
    if found and "NoNewPrivs:\t1" not in status:
        raise Broke(f"setuid programs without no-new-privileges: {found[:3]}")


@inside("more capabilities than NET_RAW")
def _():
    status = open("/proc/self/status").read()
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        value = int(re.search(name + r":\s+([0-9a-f]+)", status)[1], 16)
        if value & ~(1 << 13):
            raise Broke(f"{name} {value:x}")
    header = (ctypes.c_uint * 2)(0x20080522, 0)
    data = (ctypes.c_uint * 6)(0xFFFFFFFF, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    if call(126, ctypes.byref(header), ctypes.byref(data)) == 0:
        raise Broke("capset gave more")


@inside("no filter on system calls")
def _():
    status = open("/proc/self/status").read()
    if "Seccomp:\t2" not in status or "NoNewPrivs:\t1" not in status:
        raise Broke("seccomp or no-new-privileges is off")


@inside("device nodes")
def _():
    for path in ("/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/loop-control", "/dev/vsock", "/dev/vhost-vsock", "/dev/rtc0"):
        for flags in (os.O_RDONLY, os.O_WRONLY):
            if os.path.exists(path) and writable(path, flags):
                raise Broke(path)


@inside("making device nodes")
def _():
    for folder in ("/tmp", "/work", "/home/agent", "/dev/shm", "/run"):
        for kind, device in ((stat.S_IFBLK, os.makedev(8, 0)), (stat.S_IFBLK, os.makedev(254, 0)), (stat.S_IFCHR, os.makedev(1, 1))):
            path = folder + "/breakout-node"
            try:
                os.mknod(path, 0o600 | kind, device)
            except OSError:
                continue
            os.unlink(path)
            raise Broke(path)


@inside("writing to /sys")
def _():
    tried = 0
    for root, folders, names in os.walk("/sys"):
        for name in names:
            tried += 1
            path = os.path.join(root, name)
            if tried < 40000 and os.access(path, os.W_OK) and writable(path):
                raise Broke(path)


@inside("settings of the kernel")
def _():
    for root, _, names in os.walk("/proc/sys"):
        for name in names:
            path = os.path.join(root, name)
            if writable(path):
                raise Broke(path)


def must_not_open(name, *paths):
    @inside(name)
    def _():
        for pattern in paths:
            for path in glob.glob(pattern):
                if writable(path):
                    raise Broke(path)


must_not_open("the pattern of core dumps", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/fs/binfmt_misc/register")
must_not_open("the magic key", "/proc/sysrq-trigger")
must_not_open("the release agent and files of cgroups", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/*/release_agent", "/sys/fs/cgroup/*/cgroup.procs", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/*/devices.allow", "/sys/fs/cgroup/*/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids/pids.max")
must_not_open("interrupts, buses and firmware", "/proc/irq/*/smp_affinity", "/proc/bus/pci/*/*", "/sys/firmware/*/*", "/proc/acpi/*", "/proc/scsi/*", "/proc/mtrr")


@inside("a way of its own to mount cgroups")
def _():
    if LIBC.mount(b"x", b"/tmp", b"cgroup", ctypes.c_ulong(0), b"memory") == 0:
        raise Broke("mounted")


@inside("the kernel's memory and messages")
def _():
    for path in ("/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/vmallocinfo", "/proc/kpagecount"):
        if readable(path):
            raise Broke(path)
    symbols = readable("/proc/kallsyms", 65536)
    if symbols and set(symbols.split(b"\n")[0].split()[0]) != {ord("0")}:
        raise Broke("addresses of the kernel")
    buffer = ctypes.create_string_buffer(4096)
    if call(103, 3, buffer, 4096) > 0:
        raise Broke("the kernel's messages")


def forbidden_call(name, *calls):
    @inside(name)
    def _():
        for number, arguments in calls:
            result = call(number, *arguments)
            if result >= 0:
                raise Broke(f"call {number} gave {result}")


# Each with arguments that would do nothing even if it were allowed.
forbidden_call("BPF programs", (321, (0, ctypes.create_string_buffer(64), 64)), (321, (5, ctypes.create_string_buffer(128), 128)))
forbidden_call("performance counters of the machine", (298, (ctypes.create_string_buffer(b"\0\0\0\0\x70", 112), -1, 0, -1, 0)))
forbidden_call("kernel modules", (175, (b"", 0, b"")), (313, (-1, b"", 0)), (176, (b"breakout", 0)))
forbidden_call("another kernel, reboot", (246, (0, 0, 0, 0)), (320, (-1, -1, 0, b"", 0)), (169, (0xFEE1DEAD, 672274793, 0, 0)))
forbidden_call("swap, accounting, quotas", (167, (b"/breakout", 0)), (168, (b"/breakout",)), (163, (b"/breakout",)), (179, (0x800002 << 8, b"/dev/vda", 0, ctypes.create_string_buffer(64))))
forbidden_call("ports of the machine", (172, (3,)), (173, (0x70, 2, 1)))
forbidden_call("files by their handles", (304, (-100, ctypes.create_string_buffer(b"\x08\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0", 32), 0)))
forbidden_call("page faults of the kernel in its hands", (323, (0,)))
forbidden_call("the kernel's keys", (250, (0, -3, 1)), (250, (0, -4, 1)), (248, (b"user", b"breakout", b"x", 1, -4)))
forbidden_call("the machine's clock and names", (227, (0, ctypes.create_string_buffer(16))), (170, (b"breakout", 8)), (171, (b"breakout", 8)))
forbidden_call("priorities over others", (141, (0, 0, -20)), (144, (0, 1, (ctypes.c_int * 1)(50))), (251, (1, 0, 1 << 13)))


@inside("a better place among those that are killed for want of memory")
def _():
    before = readable("/proc/self/oom_score_adj").strip() or b"0"
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("-1000")
    except OSError:
        return
    raise Broke(f"from {before!r} to -1000")


@inside("processes without end", limit=40)
def _():
    children = []
    try:
        while len(children) < 4000:
            children.append(os.posix_spawn("/bin/sleep", ["sleep", "20"], {}))
    except OSError:
        pass
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
    if len(children) >= 4000:
        raise Broke("4000 processes")


@inside("memory without end", limit=40)
def _():
    child = os.fork()
    if child == 0:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # It, not we.
        held = []
        for _ in range(96):
            held.append(bytearray(64 << 20))
            for at in range(0, 64 << 20, 4096):
                held[-1][at] = 1
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        raise Broke("6 GiB")


def fill(folder):
    @inside(f"filling {folder}", limit=30)
    def _():
        path, written = folder + "/breakout-fill", 0
        try:
            with open(path, "wb", buffering=0) as file:
                while written < 2 << 30:
                    written += file.write(b"\0" * (1 << 20))
        except OSError:
            pass
        finally:
            if os.path.exists(path):
                os.unlink(path)
        if written >= 2 << 30:
            raise Broke("2 GiB")


for _folder in ("/tmp", "/work", "/home/agent", "/dev/shm"):
    fill(_folder)


@inside("files without number", limit=30)
def _():
    made = 0
    os.makedirs("/work/breakout-many", exist_ok=True)
    try:
        for made in range(100000):
            os.close(os.open(f"/work/breakout-many/{made}", os.O_CREAT | os.O_WRONLY))
    except OSError:
        pass
    finally:
        subprocess.run(["rm", "-rf", "/work/breakout-many"], check=False)
    if made >= 99999:
        raise Broke("100 000 files: the kernel's memory for them is the container's, and goes with no process")
