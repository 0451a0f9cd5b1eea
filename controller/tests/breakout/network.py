# ── the network: what is not the subject's must not be reached, by any layer ─────────────────────────
#
# A refusal by RST counts as held: a wall may answer so itself. What counts is a connection, or an answer.
# Datagrams carry the attempt's name, so that a listener of the test can say what came though no answer did.

import fcntl
import ipaddress
import select

NET = CFG.get("net", {})
GATEWAYS = NET.get("gateways", [])
HOSTS = NET.get("hosts", [])  # Addresses of the machine, the gateways among them.
TCP_PORT, UDP_PORT = NET.get("tcp_port", 0), NET.get("udp_port", 0)


def outside(name, limit=15):
    return attempt("the network", name, limit=limit, alone=False)


def connects(host, port, timeout=2.0):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect((host, port))
        except OSError:
            return
    raise Broke(f"connected to {host}:{port}")


def answers(host, port, name, timeout=1.5, prepare=None):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(timeout)
        try:
            if prepare:
                prepare(datagrams)
            datagrams.sendto(f"breakout: {name}".encode(), (host, port))
            data, sender = datagrams.recvfrom(2048)
        except OSError:
            return
    raise Broke(f"{host}:{port} answered {data[:60]!r}")


for _label, _host, _port in NET.get("tcp", []):

    @outside(f"TCP to {_label}")
    def _(host=_host, port=_port):
        connects(host, port)


for _label, _host, _port in NET.get("udp", []):

    @outside(f"UDP to {_label}")
    def _(host=_host, port=_port, label=_label):
        answers(host, port, label)


@outside("TCP to a listener of the machine on each of its addresses")
def _():
    for host in HOSTS:
        connects(host, TCP_PORT)


@outside("UDP to a listener of the machine on each of its addresses")
def _():
    for host in HOSTS:
        answers(host, UDP_PORT, "udp to " + host, 0.7)


@outside("TCP to the usual ports of the machine", limit=30)
def _():
    for host in GATEWAYS:
        for port in (22, 53, 80, 111, 443, 2375, 2376, 2377, 5432, 6443, 8080, 8443, 9090, 10250, 10255):
            connects(host, port, 0.3)


@outside("TCP from a low port, and with options of the address")
def _():
    for host in GATEWAYS:
        for options in ((socket.SOL_IP, 4, b"\x83\x07\x04" + socket.inet_aton(host)), (socket.SOL_IP, 1, b"\x10"), (socket.SOL_SOCKET, 36, struct.pack("i", 1))):
            with socket.socket() as connection:
                connection.settimeout(1)
                try:
                    connection.setsockopt(*options)  # source route, type of service, mark
                except OSError:
                    pass
                try:
                    connection.connect((host, TCP_PORT))
                except OSError:
                    continue
                raise Broke(f"connected with {options[:2]}")


@outside("TCP with its data in the first packet")
def _():
    for host in HOSTS:
        with socket.socket() as connection:
            connection.settimeout(1)
            try:
                connection.sendto(b"breakout: fast open", 0x20000000, (host, TCP_PORT))
                connection.recv(1)
            except OSError:
                continue
            raise Broke(f"fast open to {host}")


@outside("broadcast and multicast")
def _():
    broadcast = lambda datagrams: datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    answers("255.255.255.255", UDP_PORT, "broadcast", 0.7, broadcast)
    for _, address, mask, _ in interfaces():
        network = ipaddress.ip_network(f"{address}/{mask}", strict=False)
        answers(str(network.broadcast_address), UDP_PORT, "broadcast of the network", 0.7, broadcast)
    answers("224.0.0.1", UDP_PORT, "multicast", 0.7)


@outside("SCTP, DCCP and UDP-Lite")
def _():
    for host in GATEWAYS:
        for kind, protocol in ((socket.SOCK_STREAM, 132), (6, 33), (socket.SOCK_DGRAM, 136)):
            try:
                with socket.socket(socket.AF_INET, kind, protocol) as connection:
                    connection.settimeout(0.7)
                    connection.connect((host, UDP_PORT))
                    connection.send(b"breakout: other protocols")
                    connection.recv(1)
            except OSError:
                continue
            raise Broke(f"protocol {protocol} to {host}")


@outside("ICMP by a raw socket")
def _():
    echo(HOSTS, socket.SOCK_RAW)


@outside("ICMP by a ping socket")
def _():
    echo(HOSTS, socket.SOCK_DGRAM)


@outside("ICMP to the internet and to link-local")
def _():
    echo(["1.1.1.1", "169.254.169.254", "8.8.8.8"], socket.SOCK_RAW)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(hosts, kind):
    try:
        pinging = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
    except OSError:
        return
    with pinging:
        pinging.settimeout(1)
        for host in hosts:
            body = struct.pack("!BBHHH", 8, 0, 0, 0x4242, 1) + b"breakout"
            body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
            try:
                pinging.sendto(body, (host, 0))
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    data, sender = pinging.recvfrom(2048)
                    reply = data[20] if kind == socket.SOCK_RAW else data[0]
                    if sender[0] == host and reply == 0:
                        raise Broke(f"{host} answered the ping")
            except OSError:
                continue


@outside("IP packets of its own making")
def _():
    try:
        sending = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    except OSError:
        return
    with sending:
        for _, own, _, _ in interfaces():
            for host in HOSTS:
                for source in (own, "127.0.0.1", host):
                    packet = ip_packet(source, host, udp_part(source, host, b"breakout: own packets"))
                    try:
                        sending.sendto(packet, (host, 0))
                    except OSError:
                        pass
    # Nothing to hear here: the test's listener says whether one came.


@outside("IP in IP")
def _():
    for protocol in (4, 47, 41):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as sending:
                for _, own, _, _ in interfaces():
                    for host in GATEWAYS:
                        sending.sendto(ip_packet(own, host, udp_part(own, host, b"breakout: tunnels")), (host, 0))
        except OSError:
            continue


# ── below IP ─────────────────────────────────────────────────────────────────────────────────────────


def interfaces():
    """Name, address, mask and MAC of each that is not the loopback."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for name in sorted(os.listdir("/sys/class/net")):
            if name == "lo":
                continue
            request = struct.pack("256s", name.encode())
            try:
                address = socket.inet_ntoa(fcntl.ioctl(asking, 0x8915, request)[20:24])
                mask = socket.inet_ntoa(fcntl.ioctl(asking, 0x891B, request)[20:24])
                mac = fcntl.ioctl(asking, 0x8927, request)[18:24]
            except OSError:
                continue
            found.append((name, address, mask, mac))
    return found


def ip_packet(source, target, part, protocol=17):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(part), 4242, 0, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + part


def udp_part(source, target, payload, port=None, source_port=40404):
    head = struct.pack("!HHHH", source_port, port or UDP_PORT, 8 + len(payload), 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, 17, 8 + len(payload))
    return head[:6] + struct.pack("!H", checksum(pseudo + head + payload) or 0xFFFF) + payload


def syn_part(source, target, port, source_port=40405):
    head = struct.pack("!HHIIBBHHH", source_port, port, 42, 0, 5 << 4, 2, 64240, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, 6, 20)
    return head[:16] + struct.pack("!H", checksum(pseudo + head)) + head[18:]


def mac_of(frames, own, own_mac, target, timeout=1.0):
    """Asks by ARP, which is allowed."""
    question = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, own_mac, socket.inet_aton(own), b"\0" * 6, socket.inet_aton(target))
    frames.send(b"\xff" * 6 + own_mac + b"\x08\x06" + question)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if select.select([frames], [], [], 0.1)[0]:
            frame = frames.recv(2048)
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2" and frame[28:32] == socket.inet_aton(target):
                return frame[22:28]
    return None


def heard(frames, targets, timeout=1.5):
    """Anything that comes from one of these addresses to our ports."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if not select.select([frames], [], [], 0.1)[0]:
            continue
        frame = frames.recv(2048)
        if frame[12:14] != b"\x08\x00" or frame[23] not in (6, 17):
            continue
        source = socket.inet_ntoa(frame[26:30])
        port = struct.unpack("!H", frame[36:38])[0]
        flags = frame[47] if frame[23] == 6 and len(frame) > 47 else 0
        if source in targets and port in (40404, 40405) and (frame[23] == 17 or flags & 0x12 == 0x12):
            return f"{source} answered a frame, protocol {frame[23]}"
    return None


def by_frames(name, bypass=False, tag=b"", send=None, to_all=False):
    @outside(name, limit=25)
    def _():
        for interface, own, mask, own_mac in interfaces():
            try:
                frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            except OSError:
                return
            with frames:
                frames.bind((interface, 3))
                network = ipaddress.ip_network(f"{own}/{mask}", strict=False)
                near = [host for host in GATEWAYS if ipaddress.ip_address(host) in network]
                gateway = near[0] if near else str(network.network_address + 1)
                mac = mac_of(frames, own, own_mac, gateway)
                if mac is None:
                    mac = b"\xff" * 6  # To everybody, then.
                if bypass:
                    try:
                        frames.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
                    except OSError:
                        return
                targets = list(dict.fromkeys([gateway, *HOSTS, *NET.get("foreign", [])]))
                for target in targets:
                    for part, protocol in (
                        (udp_part(own, target, f"breakout: {name}".encode()), 17),
                        (syn_part(own, target, NET.get("foreign_port", 0) if target in NET.get("foreign", []) else TCP_PORT), 6),
                    ):
                        for address in {mac, b"\xff" * 6} if to_all else {mac}:
                            frame = address + own_mac + tag + b"\x08\x00" + ip_packet(own, target, part, protocol)
                            try:
                                (send(interface, frame) if send else frames.send(frame))
                            except OSError:
                                return
                found = heard(frames, targets)
                if found:
                    raise Broke(found)


by_frames("frames to the gateway's hardware address")
by_frames("frames past the queue", bypass=True)
by_frames("frames to everybody's hardware address", to_all=True)
by_frames("frames with a tag of a VLAN", tag=b"\x81\x00\x00\x00")
by_frames("frames with a tag, past the queue", tag=b"\x81\x00\x00\x00", bypass=True)


@outside("frames by a ring that is sent at once")
def _():
    """A ring of frames in shared memory (TPACKET_V2), past the queue."""
    import mmap

    for interface, own, mask, own_mac in interfaces():
        try:
            frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        except OSError:
            return
        with frames:
            network = ipaddress.ip_network(f"{own}/{mask}", strict=False)
            gateway = next((host for host in GATEWAYS if ipaddress.ip_address(host) in network), str(network.network_address + 1))
            try:
                frames.bind((interface, 3))
                mac = mac_of(frames, own, own_mac, gateway) or b"\xff" * 6
                frames.setsockopt(263, 10, 1)  # PACKET_VERSION 2
                frames.setsockopt(263, 20, 1)
                frames.setsockopt(263, 13, struct.pack("IIII", 4096, 1, 2048, 2))  # PACKET_TX_RING
                ring = mmap.mmap(frames.fileno(), 4096)
            except OSError:
                return
            frame = mac + own_mac + b"\x08\x00" + ip_packet(own, gateway, udp_part(own, gateway, b"breakout: a ring"))
            ring[20 + 12 : 20 + 12 + len(frame)] = frame
            ring[4:8] = struct.pack("I", len(frame))
            ring[0:4] = struct.pack("I", 1)  # TP_STATUS_SEND_REQUEST
            try:
                frames.send(b"")
            except OSError:
                return
            found = heard(frames, [gateway])
            if found:
                raise Broke(found)


def xdp_socket(interface):
    """A socket that writes to the device itself; returns a function that sends a frame, or raises OSError."""
    import ctypes
    import mmap

    sending = socket.socket(44, socket.SOCK_RAW, 0)
    memory = mmap.mmap(-1, 4096 * 16)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    sending.setsockopt(283, 4, struct.pack("QQIIII", address, 4096 * 16, 4096, 0, 0, 0))  # XDP_UMEM_REG
    for option in (5, 6, 3):  # fill ring, completion ring, transmit ring
        sending.setsockopt(283, option, struct.pack("i", 16))
    offsets = struct.unpack("16Q", sending.getsockopt(283, 1, 128))  # XDP_MMAP_OFFSETS
    producer, _, descriptors, _ = offsets[4:8]
    ring = mmap.mmap(sending.fileno(), descriptors + 16 * 16, offset=0x80000000)
    # Bound by bind(2) with its own address: family, flags (copy), interface, queue, no shared memory.
    where = struct.pack("HHIII", 44, 2, socket.if_nametoindex(interface), 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(sending.fileno(), where, len(where)):
        raise OSError(ctypes.get_errno(), "bind")

    def send(frame):
        at = struct.unpack("I", ring[producer : producer + 4])[0]
        place = at % 16
        memory[place * 4096 : place * 4096 + len(frame)] = frame
        ring[descriptors + place * 16 : descriptors + place * 16 + 16] = struct.pack("QII", place * 4096, len(frame), 0)
        ring[producer : producer + 4] = struct.pack("I", at + 1)
        libc.sendto(sending.fileno(), None, 0, socket.MSG_DONTWAIT, None, 0)

    return send


@outside("frames by AF_XDP")
def _():
    for interface, own, mask, own_mac in interfaces():
        try:
            send = xdp_socket(interface)
            frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        except OSError:
            return
        with frames:
            frames.bind((interface, 3))
            network = ipaddress.ip_network(f"{own}/{mask}", strict=False)
            gateway = next((host for host in GATEWAYS if ipaddress.ip_address(host) in network), str(network.network_address + 1))
            mac = mac_of(frames, own, own_mac, gateway) or b"\xff" * 6
            for _ in range(2):
                send(mac + own_mac + b"\x08\x00" + ip_packet(own, gateway, udp_part(own, gateway, b"breakout: AF_XDP")))
            found = heard(frames, [gateway])
            if found:
                raise Broke(found)


@outside("sockets of virtual machines, which no network namespace holds")
def _():
    port = NET.get("vsock_port")
    try:
        with socket.socket(40, socket.SOCK_STREAM) as connection:
            if not port:
                raise Skipped("the test has no listener there")
            connection.settimeout(1)
            connection.connect((1, port))  # Only ever this machine itself.
    except OSError:
        return
    raise Broke("connected")


@outside("families of sockets that no rule looks at")
def _():
    for name, family, kind, protocol in (("netlink audit", 16, 3, 9), ("bluetooth", 31, 3, 1), ("CAN", 29, 3, 1), ("TIPC", 30, 5, 0), ("AX.25", 3, 2, 0), ("X.25", 9, 5, 0), ("RDS", 21, 5, 0), ("SMC", 43, 1, 0), ("kernel crypto", 38, 5, 0)):
        try:
            opened = socket.socket(family, kind, protocol)
        except OSError:
            continue
        opened.close()
        if name in ("bluetooth", "CAN", "TIPC", "AX.25", "X.25", "RDS"):
            raise Broke(f"a {name} socket opens")


# ── IPv6, names, rules ───────────────────────────────────────────────────────────────────────────────


@outside("IPv6 to the neighbours and the world")
def _():
    for name, _, _, _ in interfaces():
        for host in (f"ff02::1%{name}", f"ff02::2%{name}"):
            try:
                with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagrams:
                    datagrams.settimeout(1)
                    datagrams.sendto(b"breakout: IPv6", socket.getaddrinfo(host, UDP_PORT, proto=17)[0][4])
                    _, sender = datagrams.recvfrom(2048)
            except OSError:
                continue
            raise Broke(f"{sender[0]} answered on {name}")
    for host in NET.get("hosts6", []) + ["2606:4700:4700::1111", "fd00::1", "::ffff:" + (HOSTS or ["127.0.0.1"])[0]]:
        connects(host, TCP_PORT if not host.startswith("2606") else 443, 1)


@outside("ICMP of IPv6 to all neighbours")
def _():
    for name, _, _, _ in interfaces():
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58) as pinging:
                pinging.settimeout(1)
                pinging.sendto(struct.pack("!BBHHH", 128, 0, 0, 1, 1), socket.getaddrinfo(f"ff02::2%{name}", 0, proto=58)[0][4])
                while True:
                    data, sender = pinging.recvfrom(2048)
                    if data[0] == 129:
                        raise Broke(f"{sender[0]} answered on {name}")
        except OSError:
            continue


def lookup(name, kind=1, server=None, timeout=2.5):
    """Asks a name server; returns the code of its answer, or None."""
    if server is None:
        servers = re.findall(r"(?m)^nameserver\s+(\S+)", open("/etc/resolv.conf").read())
        server = servers[0] if servers else "127.0.0.11"
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack("!HH", kind, 1)
    with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(timeout)
        try:
            asking.sendto(struct.pack("!HHHHHH", 0x4242, 0x100, 1, 0, 0, 0) + question, (server, 53))
            answer = asking.recv(2048)
        except OSError:
            return None
    return answer[3] & 15, struct.unpack("!H", answer[6:8])[0]


@outside("secrets in names: a random name outside, of each kind")
def _():
    name = "s" + os.urandom(8).hex() + ".example.com"
    for kind in (1, 28, 16, 15):
        found = lookup(name, kind)
        # "No such name" about example.com can only come from outside.
        if found and (found[1] or found[0] == 3):
            raise Broke(f"an answer came from outside: code {found[0]}, {found[1]} records")


@outside("name servers of the machine and the world")
def _():
    for server in [*HOSTS, "1.1.1.1", "8.8.8.8", *NET.get("name_servers", [])]:
        found = lookup("example.com", server=server, timeout=0.7)
        if found:
            raise Broke(f"{server} answered")


@outside("names of others on the embedded name server")
def _():
    for name in NET.get("foreign_names", []):
        found = lookup(name)
        if found and found[1]:
            raise Broke(f"{name} resolves")


@outside("rules and routes in its own hands")
def _():
    import subprocess

    for command in (
        ["ip", "route", "add", "198.51.100.0/24", "dev", "lo"], ["ip", "link", "set", "lo", "mtu", "65535"],
        ["ip", "addr", "add", "198.51.100.7/32", "dev", "lo"], ["ip", "link", "add", "breakout0", "type", "dummy"],
        ["ip", "neigh", "add", "198.51.100.8", "lladdr", "02:00:00:00:00:01", "dev", "lo"],
        ["nft", "flush", "ruleset"], ["iptables", "-F"], ["tc", "qdisc", "add", "dev", "lo", "root", "pfifo"],
    ):
        if BARE:
            raise Skipped("it is not about the socket")
        try:
            done = subprocess.run(command, capture_output=True, timeout=3)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            raise Broke(" ".join(command))


@outside("the rules by netlink")
def _():
    try:
        with socket.socket(16, 3, 12) as rules:  # NETLINK_NETFILTER
            rules.settimeout(1)
            # NFNL batch: begin, delete all tables of every family, end.
            begin = struct.pack("IHHII", 20, 0x10, 1, 1, 0) + struct.pack("!BBH", 0, 0, 10)
            delete = struct.pack("IHHII", 20, (10 << 8) | 2, 5, 2, 0) + struct.pack("!BBH", 0, 0, 0)
            end = struct.pack("IHHII", 20, 0x11, 1, 3, 0) + struct.pack("!BBH", 0, 0, 10)
            if BARE:
                raise Skipped("it is not about the socket")
            rules.send(begin + delete + end)
            for _ in range(3):
                answer = rules.recv(4096)
                kind, code = struct.unpack("H", answer[4:6])[0], struct.unpack("i", answer[16:20])[0]
                if kind == 2 and code == 0:
                    raise Broke("the tables are gone")
    except OSError:
        return
