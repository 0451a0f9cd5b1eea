# Tries to leave a container in many ways, and prints the name of each attempt that this side saw succeed. What only
# the other side can see (a datagram that arrived) carries its name there. No attempt takes longer than a second.
import ctypes, json, os, socket, struct, subprocess, sys, threading

want = json.loads(sys.argv[1])  # gateways, hosts, nowhere: addresses; port; peer: an address beside us
TCP_UDP_PORT = want["port"]
lock = threading.Lock()


def reached(name):
    with lock:
        print(name, flush=True)


def tcp(name, address):
    try:
        socket.create_connection((address, TCP_UDP_PORT), 1).close()
        reached(name)
    except OSError:
        pass


def ping(name, address):
    done = subprocess.run(["ping", "-c1", "-W1", "-w1", address], capture_output=True)
    if done.returncode == 0:
        reached(name)


def udp(name, address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            s.sendto(name.encode(), (address, TCP_UDP_PORT))
        except OSError:
            pass


def packet(name, to, sender, options=b""):
    data = struct.pack("!HHHH", 4000, TCP_UDP_PORT, 8 + len(name), 0) + name.encode()
    head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(data), 1, 0, 64, 17, 0,
                       socket.inet_aton(sender), socket.inet_aton(to)) + options
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", total) + head[12:] + data


def hdrincl(name, to, sender, options=b""):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        try:
            s.sendto(packet(name, to, sender, options), (to, 0))
        except OSError:
            pass


# Frames.
def link_of(interface):
    with open(f"/sys/class/net/{interface}/address") as f:
        return bytes.fromhex(f.read().strip().replace(":", ""))


def send(interface, frame, protocol=0x0800):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        try:
            s.sendto(frame, (interface, protocol))
        except OSError:
            pass


def arp(interface, sender, target):
    """The target's link address, asked with a frame of our own."""
    own = link_of(interface)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as s:
        s.bind((interface, 0x0806))
        s.settimeout(1)
        ask = b"\xff" * 6 + own + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own
        s.send(ask + socket.inet_aton(sender) + b"\0" * 6 + socket.inet_aton(target))
        try:
            while True:
                heard = s.recv(2048)
                if heard[20:22] == b"\0\x02" and heard[28:32] == socket.inet_aton(target):
                    return heard[22:28]
        except OSError:
            return None


def frames(number, interface, sender, gateway):
    own, to = link_of(interface), arp(interface, sender, gateway)
    print("arp", "answered" if to else "silent", flush=True)
    if not to:
        return
    for host in want["hosts"] + [gateway]:
        def name(how):
            return f"frame {number} {how} {host}"
        ip = to + own + b"\x08\x00"
        send(interface, ip + packet(name("plain"), host, sender))
        send(interface, ip + packet(name("called-arp"), host, sender), 0x0806)
        send(interface, ip + packet(name("called-all"), host, sender), 0x0003)
        send(interface, ip + packet(name("called-vlan"), host, sender), 0x8100)
        send(interface, ip + packet(name("source-of-peer"), host, want["peer"]))
        send(interface, ip + packet(name("options"), host, sender, b"\x01\x01\x01\x00"))
        send(interface, to + own + b"\x81\x00\x00\x00\x08\x00" + packet(name("vlan-0"), host, sender), 0x8100)
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as s:
            try:
                s.sendto(packet(name("dgram"), host, sender), (interface, 0x0800, 0, 1, to))
            except OSError:
                pass
        # A frame that comes in by the loopback interface, to be carried on.
        send("lo", b"\0" * 12 + b"\x08\x00" + packet(name("by-lo"), host, sender))
    everybody = b"\xff" * 6 + own + b"\x08\x00"
    send(interface, everybody + packet(f"frame {number} broadcast 255.255.255.255", "255.255.255.255", sender))
    for last in want["broadcasts"]:
        send(interface, everybody + packet(f"frame {number} broadcast {last}", last, sender))
    # IPv6 to every node of the link, from an address of the link.
    name = f"frame {number} ipv6-all-nodes".encode()
    here, all_nodes = socket.inet_pton(socket.AF_INET6, "fe80::5"), socket.inet_pton(socket.AF_INET6, "ff02::1")
    data = struct.pack("!HHHH", 4000, TCP_UDP_PORT, 8 + len(name), 0) + name
    whole = here + all_nodes + struct.pack("!II", len(data), 17) + data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    data = data[:6] + struct.pack("!H", ~total & 0xFFFF) + data[8:]
    head = struct.pack("!IHBB", 6 << 28, len(data), 17, 1) + here + all_nodes
    send(interface, bytes.fromhex("333300000001") + own + b"\x86\xdd" + head + data, 0x86DD)


# System calls. Only a plain refusal is one; any other error means that the call was looked at.
def refused(name, call):
    try:
        call()
    except PermissionError:
        return
    except OSError as error:
        name = f"{name} ({error.strerror})"
    reached(f"call {name}")


def syscall(*numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(*[ctypes.c_long(number) for number in numbers]) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def past_the_queue():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        s.setsockopt(263, 20, 1)


def calls():
    refused("AF_XDP", lambda: socket.socket(44, socket.SOCK_RAW, 0))
    refused("AF_VSOCK", lambda: socket.socket(40, socket.SOCK_STREAM, 0))
    refused("AF_ALG", lambda: socket.socket(38, socket.SOCK_SEQPACKET, 0))
    refused("PACKET_QDISC_BYPASS", past_the_queue)
    refused("io_uring_setup", lambda: syscall(425, 1, 0))
    if subprocess.run(["uname", "-m"], capture_output=True, text=True).stdout.strip() == "x86_64":
        refused("keyctl", lambda: syscall(250, 0, -3, 0))
        refused("x32 AF_VSOCK", lambda: syscall(0x40000000 + 41, 40, 1, 0))
        refused("x32 io_uring_setup", lambda: syscall(0x40000000 + 425, 1, 0))
        refused("unshare user", lambda: syscall(272, 0x10000000))
        refused("unshare user and network", lambda: syscall(272, 0x50000000))


everything = []
for address in want["gateways"] + want["hosts"] + want["nowhere"]:
    everything += [(tcp, f"tcp {address}", address), (ping, f"ping {address}", address), (udp, f"udp {address}", address)]
for address in ["255.255.255.255"] + want["broadcasts"]:
    everything.append((udp, f"udp {address}", address))
for address in ["ff02::1%eth0", "ff02::2%eth0", "fe80::1%eth0", "::ffff:" + want["gateways"][0]]:
    everything.append((ping, f"ping {address}", address))
threads = [threading.Thread(target=f, args=(name, address)) for f, name, address in everything]
for thread in threads:
    thread.start()
addresses = json.loads(subprocess.run(["ip", "-j", "-4", "addr"], capture_output=True).stdout)
own = [(link["ifname"], link["addr_info"][0]["local"]) for link in addresses if link["ifname"] != "lo" and link["addr_info"]]
for number, (interface, sender) in enumerate(sorted(own)):
    near = [g for g in want["gateways"] if g.split(".")[:2] == sender.split(".")[:2]]
    for host in want["hosts"] + want["gateways"]:
        hdrincl(f"hdrincl {number} {host}", host, sender)
        hdrincl(f"hdrincl-options {number} {host}", host, sender, b"\x01\x01\x01\x00")
    if near:
        frames(number, interface, sender, near[0])
calls()
for thread in threads:
    thread.join()
print("end")
