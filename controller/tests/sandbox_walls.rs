//! The walls of an agent's container on a real engine, tried from inside with everything that is at hand.
//!
//! Each way out is tried twice: in a plain container on the same networks, where it must lead somewhere (or this test
//! would see nothing), and in a sandbox, where it must not.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "sandbox_support/engine.rs"]
mod engine;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::process::Command as Process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use controller::sandbox::docker::DockerProvider;
use controller::sandbox::fake::MemoryLedger;
use controller::sandbox::stream::Patience;
use controller::sandbox::{Command, CommandEnd, Sandbox, SandboxError, SandboxProvider as _, SandboxRequest};
use engine::{HOST, Project, docker, first_address, image};

const ATTEMPTS: &str = include_str!("sandbox_support/attempts.py");

/// The agent's own image with this binary: the attempts need its tools.
fn agent_image() -> &'static str {
    static IMAGE: OnceLock<()> = OnceLock::new();
    IMAGE.get_or_init(|| engine::build("operator-agent-test:walls", include_str!("../../images/agent/Dockerfile")));
    "operator-agent-test:walls"
}

async fn run(sandbox: &Arc<dyn Sandbox>, seq: i64, text: &str) -> (CommandEnd, String, Duration) {
    let command = Command { seq, command: text.into(), timeout: Duration::from_mins(1), live: None };
    let result = sandbox.run(&command).await.unwrap();
    let text = [result.stdout.head, result.stderr.head].concat();
    (result.end, String::from_utf8_lossy(&text).trim().to_owned(), result.duration)
}

const WELL: CommandEnd = CommandEnd::Exited { code: 0 };

/// Listens on all of this machine's addresses, and remembers which attempts arrived.
struct Host {
    port: u16,
    heard: Arc<Mutex<BTreeSet<String>>>,
    over: Arc<AtomicBool>,
}

impl Host {
    fn listen() -> Self {
        // A number that is free for both: one that is free for the first may be taken for the second.
        let free = || {
            let udp = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
            let port = udp.local_addr().unwrap().port();
            Some((TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).ok()?, udp, port))
        };
        let (tcp, udp, port) = (0..100).find_map(|_| free()).expect("a port that is free for TCP and UDP");
        tcp.set_nonblocking(true).unwrap();
        udp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (heard, over) = (Arc::<Mutex<BTreeSet<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let (said, ended) = (heard.clone(), over.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while !ended.load(Ordering::Relaxed) {
                match udp.recv_from(&mut buffer) {
                    Ok((length, _)) => {
                        said.lock().unwrap().insert(String::from_utf8_lossy(&buffer[..length]).into_owned());
                    }
                    Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
                }
                while let Ok((_, from)) = tcp.accept() {
                    said.lock().unwrap().insert(format!("a connection from {}", from.ip()));
                }
            }
        });
        Self { port, heard, over }
    }

    /// What arrived since this was asked last.
    fn heard(&self) -> BTreeSet<String> {
        std::thread::sleep(Duration::from_millis(300));
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// A project with a peer that has the agent's tools, another project, and a host that listens.
struct Scene {
    project: Project,
    other: Project,
    host: Host,
    peer: String,
    elsewhere: String,
}

impl Scene {
    fn up() -> Self {
        let (project, other) = (Project::up(), Project::up());
        let host = Host::listen();
        let peer = format!("{}-api-1", project.name);
        let label = format!("com.docker.compose.project={}", project.name);
        let serve = "exec python3 -m http.server 8080";
        docker(&[
            "run",
            "-d",
            "--name",
            &peer,
            "--label",
            &label,
            "--network",
            &project.networks[0],
            "--network-alias",
            "api",
            "--init",
            "--entrypoint",
            "bash",
            agent_image(),
            "-c",
            serve,
        ]);
        docker(&["network", "connect", &project.networks[1], &peer]);
        let elsewhere = first_address("bridge");
        Self { project, other, host, peer, elsewhere }
    }

    fn provider(&self) -> DockerProvider {
        let patience = Patience { hello: Duration::from_mins(1), ..Patience::default() };
        let provider = DockerProvider::connect(HOST, &self.project.installation).unwrap();
        provider.with_patience(patience).with_operator_image(engine::operator_image())
    }

    fn request(&self) -> SandboxRequest {
        SandboxRequest { image: agent_image().into(), ..self.project.request() }
    }

    fn gateways(project: &Project) -> Vec<String> {
        let gateway =
            |network: &String| docker(&["network", "inspect", network, "-f", "{{(index .IPAM.Config 0).Gateway}}"]);
        project.networks.iter().map(gateway).collect()
    }

    fn address(container: &str, network: &str) -> String {
        docker(&[
            "inspect",
            container,
            "-f",
            &format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}"),
        ])
    }

    /// The command that tries everything.
    fn attempts(&self) -> String {
        let gateways = Self::gateways(&self.project);
        let broadcast = |network: &String| {
            let subnet = docker(&["network", "inspect", network, "-f", "{{(index .IPAM.Config 0).Subnet}}"]);
            subnet.parse::<ipnet::Ipv4Net>().unwrap().broadcast().to_string()
        };
        let hosts = [Self::gateways(&self.other), vec![self.elsewhere.clone()]].concat();
        let foreign = Self::address(&self.other.container(), &self.other.networks[0]);
        let nowhere = [&foreign, "169.254.169.254", "10.96.0.1", "10.253.0.1", "1.1.1.1"];
        let want = serde_json::json!({
            "gateways": gateways,
            "hosts": hosts,
            "nowhere": nowhere,
            "broadcasts": self.project.networks.iter().map(broadcast).collect::<Vec<_>>(),
            "port": self.host.port,
            "peer": Self::address(&self.peer, &self.project.networks[0]),
        });
        format!("python3 - '{want}' <<'END'\n{ATTEMPTS}\nEND")
    }

    /// What a run of the attempts reached, by its own words and by the host's.
    fn reached(&self, said: &str) -> BTreeSet<String> {
        assert!(said.ends_with("end"), "the attempts did not come to their end: {said}");
        let said = said.lines().filter(|line| !["end", "arp silent", "arp answered"].contains(line)).map(str::to_owned);
        said.chain(self.host.heard()).collect()
    }

    async fn reached_from(&self, sandbox: &Arc<dyn Sandbox>, seq: i64) -> BTreeSet<String> {
        self.host.heard();
        let (end, said, _) = run(sandbox, seq, &self.attempts()).await;
        assert_eq!(end, WELL, "{said}");
        self.reached(&said)
    }
}

#[tokio::test]
async fn every_way_out_leads_somewhere_without_walls_and_nowhere_with_them() {
    let scene = Scene::up();
    let output = Process::new("docker").args(["exec", &scene.peer, "bash", "-c", &scene.attempts()]).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    let open = scene.reached(said.trim());
    let gateways = Scene::gateways(&scene.project);
    let elsewhere = &scene.elsewhere;
    let mut expected: Vec<String> = ["AF_VSOCK", "PACKET_QDISC_BYPASS"].map(|name| format!("call {name}")).to_vec();
    for gateway in &gateways {
        expected.extend(["tcp", "ping", "udp"].map(|how| format!("{how} {gateway}")));
    }
    expected.extend(["tcp", "ping", "udp"].map(|how| format!("{how} {elsewhere}")));
    for how in ["plain", "called-arp", "called-all", "called-vlan", "options", "dgram"] {
        expected.push(format!("frame 0 {how} {elsewhere}"));
    }
    expected.extend([format!("hdrincl 0 {elsewhere}"), "frame 0 broadcast 255.255.255.255".into()]);
    let missing: Vec<_> = expected.iter().filter(|name| !open.contains(*name)).collect();
    println!("{} ways out without walls: {open:#?}", open.len());
    assert!(missing.is_empty(), "these lead nowhere even without walls: {missing:?}");

    let provider = scene.provider();
    let plan = provider.preflight(&scene.request()).await.unwrap();
    let sandbox = provider.create(&plan, MemoryLedger::new()).await.unwrap();
    assert_eq!(scene.reached_from(&sandbox, 1).await, BTreeSet::new());

    // The rest of the room is as it should be.
    let peer = Scene::address(&scene.peer, &scene.project.networks[1]);
    let inside = format!(
        "set -e; ping -c1 -W2 web; ping -c1 -W2 {peer}; nc -z api 8080; nc -z {peer} 8080; curl -sS http://api:8080/ >/dev/null
         traceroute -n -w1 -q1 api; traceroute -I -n -w1 -q1 api
         (sleep 1; ping -c3 -i0.3 {peer}) >/dev/null & timeout 10 tcpdump -n -c1 -i eth0 icmp; wait; strace -o /dev/null true"
    );
    let (end, said, _) = run(&sandbox, 2, &inside).await;
    assert_eq!(end, WELL, "{said}");
    let (_, said, _) =
        run(&sandbox, 3, "id -u; id -G; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status | tr '\\t\\n' '  '").await;
    let raw = "0000000000002000";
    let expected = format!(
        "1000\n1000\nCapInh: {raw} CapPrm: {raw} CapEff: {raw} CapBnd: {raw} CapAmb: {raw} NoNewPrivs: 1 Seccomp: 2"
    );
    assert_eq!(said, expected);
    for refused in ["ip link set eth0 down", "ip addr add 10.9.9.9/32 dev eth0", "ip route del default", "su -c true"] {
        let (end, said, _) = run(&sandbox, 100 + i64::try_from(refused.len()).unwrap(), refused).await;
        assert_ne!(end, WELL, "{refused}: {said}");
    }
    // Names of the outside have no answer, and that is known soon.
    let (_, said, took) =
        run(&sandbox, 4, "getent hosts example.com; curl -sS -m 20 http://example.com/; cat /etc/resolv.conf").await;
    assert!(!said.contains("<html") && said.contains("Could not resolve"), "{said}");
    assert!(!said.contains("search"), "{said}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    // The helper is gone.
    assert_eq!(scene.project.standing().len(), 4, "agent and gateway, a volume each");
}

#[tokio::test]
async fn what_egress_names_is_open_and_the_walls_come_back_with_the_networks() {
    let scene = Scene::up();
    let provider = scene.provider();
    let egress = vec![format!("{}/32", scene.elsewhere).parse().unwrap()];
    let plan = provider.preflight(&SandboxRequest { egress, ..scene.request() }).await.unwrap();
    let sandbox = provider.create(&plan, MemoryLedger::new()).await.unwrap();
    let only_what_is_named = |reached: BTreeSet<String>| {
        assert!(reached.contains(&format!("tcp {}", scene.elsewhere)), "{reached:?}");
        let beyond = |name: &&String| !name.ends_with(&scene.elsewhere) && !name.starts_with("a connection from");
        assert_eq!(reached.iter().filter(beyond).collect::<Vec<_>>(), Vec::<&String>::new());
    };
    only_what_is_named(scene.reached_from(&sandbox, 1).await);

    // Its project goes and comes back; meanwhile a command runs.
    for container in [&scene.peer, &scene.project.container()] {
        docker(&["stop", "-t", "0", container]);
    }
    assert_eq!(provider.release_networks_if_project_gone(&scene.project.name).await.unwrap(), 2);
    for container in [&scene.peer, &scene.project.container()] {
        docker(&["start", container]);
    }
    assert_eq!(provider.release_networks_if_project_gone(&scene.project.name).await.unwrap(), 2);
    only_what_is_named(scene.reached_from(&sandbox, 2).await);
    // One interface alone is new.
    docker(&["network", "disconnect", &scene.project.networks[1], sandbox.name()]);
    assert_eq!(provider.release_networks_if_project_gone(&scene.project.name).await.unwrap(), 1);
    only_what_is_named(scene.reached_from(&sandbox, 3).await);
    let (end, said, _) = run(&sandbox, 4, "ping -c1 -W2 web && nc -z api 8080").await;
    assert_eq!(end, WELL, "{said}");
}

#[tokio::test]
async fn no_walls_no_sandbox() {
    let project = Project::up();
    // An image without nftables.
    let provider = project.provider().with_operator_image(image());
    let plan = provider.preflight(&project.request()).await.unwrap();
    let began = Instant::now();
    let error = provider.create(&plan, MemoryLedger::new()).await.err().unwrap();
    assert!(matches!(&error, SandboxError::Refused(reason) if reason.contains("nft cannot be run")), "{error}");
    assert!(began.elapsed() < Duration::from_mins(1));
    assert_eq!(project.standing(), Vec::<String>::new());
    // And an image that is not there.
    let provider = project.provider().with_operator_image("localhost:1/no-such-image:1");
    let error = provider.create(&plan, MemoryLedger::new()).await.err().unwrap();
    assert!(matches!(&error, SandboxError::ImageMissing { image, .. } if image.contains("no-such")), "{error}");
    assert_eq!(project.standing(), Vec::<String>::new());
}
