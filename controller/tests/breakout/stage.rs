//! What the break-out suite plays on: a subject, somebody else's project, and listeners of the machine.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![allow(unreachable_pub)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bollard::Docker;
use bollard::models::ExecConfig;
use serde_json::{Value, json};

use crate::engine::{HOST, Project, docker, first_address};

/// The image with the tools of an agent, and this binary in it.
pub fn agent_image() -> &'static str {
    static IMAGE: OnceLock<()> = OnceLock::new();
    IMAGE.get_or_init(|| build("operator-agent-test:breakout", Some(env!("CARGO_BIN_EXE_operator")), ""));
    "operator-agent-test:breakout"
}

/// An image of its own for each side, so that one can be told from the other. It serves HTTP on port 8000.
fn side_image(side: &str) -> String {
    let name = format!("operator-breakout-{side}:dev");
    let lines = format!("LABEL breakout={side}\nENTRYPOINT []\nCMD [\"python3\", \"-m\", \"http.server\", \"8000\"]\n");
    build(&name, None, &lines);
    name
}

fn build(name: &str, binary: Option<&str>, lines: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut recipe = format!("FROM operator-agent:dev\n{lines}");
    if let Some(binary) = binary {
        std::fs::copy(binary, dir.path().join("operator")).unwrap();
        recipe.push_str("COPY operator /usr/local/bin/operator\n");
    }
    std::fs::write(dir.path().join("Dockerfile"), recipe).unwrap();
    let mut build = Command::new("docker");
    build.env("DOCKER_BUILDKIT", "0").args(["build", "-q", "-t", name]).arg(dir.path());
    let done = build.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}: these tests need the image operator-agent:dev (`make images`)");
}

/// The full id of a container; `None` if it is none.
pub fn full_id(container: &str) -> Option<String> {
    let found = Command::new("docker").args(["container", "inspect", "-f", "{{.Id}}", container]).output().unwrap();
    found.status.success().then(|| String::from_utf8_lossy(&found.stdout).trim().to_owned())
}

/// Listeners on all addresses of the machine, and what came to them.
pub struct Listeners {
    tcp: u16,
    udp: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Listeners {
    fn start() -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let note = |heard: &Mutex<Vec<String>>, what: String| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        };
        let connections = TcpListener::bind("0.0.0.0:0").unwrap();
        let datagrams = UdpSocket::bind("0.0.0.0:0").unwrap();
        let (tcp, udp) = (connections.local_addr().unwrap().port(), datagrams.local_addr().unwrap().port());
        let of_tcp = Arc::clone(&heard);
        std::thread::spawn(move || {
            for connection in connections.incoming().flatten() {
                note(&of_tcp, format!("TCP from {:?}", connection.peer_addr()));
            }
        });
        let of_udp = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((size, from)) = datagrams.recv_from(&mut buffer) {
                note(&of_udp, format!("UDP from {from}: {}", String::from_utf8_lossy(&buffer[..size])));
                let _ = datagrams.send_to(b"heard", from);
            }
        });
        Self { tcp, udp, heard }
    }

    /// What came, from anywhere.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All of it. The foreign project goes first: it stands on a network of the own one.
pub struct Stage {
    pub foreign: Project,
    pub own: Project,
    pub listeners: Listeners,
    secret: String,
    secret_file: tempfile::NamedTempFile,
    exec: String,
    images_before: Vec<String>,
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// `docker run -d` or `docker create` in a project; returns the id.
fn container(verb: &[&str], project: &Project, service: &str, more: &[&str]) -> String {
    let labels = [
        format!("com.docker.compose.project={}", project.name),
        format!("com.docker.compose.service={service}"),
        "com.docker.compose.oneoff=False".to_owned(),
        "com.docker.compose.container-number=1".to_owned(),
    ];
    let name = format!("{}-{service}-1", project.name);
    let mut arguments = verb.to_vec();
    arguments.extend(["--init", "--name", &name]);
    for label in &labels {
        arguments.extend(["--label", label]);
    }
    arguments.extend(more);
    docker(&arguments)
}

impl Stage {
    pub async fn up() -> Self {
        let (own_image, foreign_image) = (side_image("own"), side_image("foreign"));
        let images_before = lines(&docker(&["images", "-q", "--no-trunc"]));
        let (own, foreign) = (Project::up(), Project::up());
        let secret = format!("secretword{:016x}", rand::random::<u64>());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{secret}-of-the-host")).unwrap();

        let run = ["run", "-d"];
        container(&run, &own, "api", &["--network", &own.networks[0], &own_image]);
        // What it has of the host is harmless; that it has a file of the host is what counts.
        let host = ["--network", &own.networks[0], "-v", "/etc/hostname:/host/etc/hostname:ro", &own_image];
        container(&run, &own, "host", &host);
        container(&["create"], &own, "stopped", &host);

        let volume = format!("{}_data", foreign.name);
        docker(&["volume", "create", "--label", &format!("com.docker.compose.project={}", foreign.name), &volume]);
        let (mount, environment) = (format!("{volume}:/data"), format!("THE_SECRET={secret}"));
        let serve = format!("echo {secret}; exec python3 -m http.server 8000");
        let network = ["--network", &foreign.networks[0]];
        let more = [&network[..], &["-v", &mount, "-e", &environment, &foreign_image, "sh", "-c", &serve]].concat();
        let db = container(&run, &foreign, "db", &more);
        // It makes events all the time, and stands on the own network, too.
        let health = ["--health-cmd", "true", "--health-interval", "1s", &foreign_image, "sleep", "900"];
        let guest = container(&run, &foreign, "guest", &[&network[..], &health].concat());
        docker(&["network", "connect", &own.networks[0], &guest]);

        let engine = Docker::connect_with_unix(HOST, 30, bollard::API_DEFAULT_VERSION).unwrap();
        let config = ExecConfig {
            cmd: Some(vec!["echo".into(), secret.clone()]),
            attach_stdout: Some(true),
            ..ExecConfig::default()
        };
        let exec = engine.create_exec(&db, config).await.unwrap().id;
        let listeners = Listeners::start();
        Self { foreign, own, listeners, secret, secret_file: file, exec, images_before }
    }

    pub fn own_name(&self) -> String {
        format!("{}-api-1", self.own.name)
    }

    /// What the suite must be able to reach, as its summary has it.
    pub fn control(&self) -> String {
        format!("{}:8000", self.own_name())
    }

    /// What the suite is told; the agent's own container is still to be said.
    pub fn config(&self) -> Value {
        let (own, foreign) = (&self.own, &self.foreign);
        let look = |format: &str, name: &str| docker(&["inspect", "-f", format, name]);
        let (own_name, db) = (self.own_name(), format!("{}-db-1", foreign.name));
        let (guest, host) = (format!("{}-guest-1", foreign.name), format!("{}-host-1", own.name));
        let address =
            look(&format!("{{{{(index .NetworkSettings.Networks {:?}).IPAddress}}}}", foreign.networks[0]), &db);
        let networks = [&own.networks[0], &own.networks[1], &foreign.networks[0], &"bridge".to_owned()];
        let gateways = networks.map(|name| first_address(name));
        let output = Command::new("hostname").arg("-I").output().unwrap();
        let all: Vec<String> = String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect();
        let (hosts6, hosts): (Vec<_>, Vec<_>) =
            gateways.iter().cloned().chain(all).partition(|address| address.contains(':'));
        let mut tcp = vec![
            json!(["a foreign container", address, 8000]),
            json!(["the metadata of a cloud", "169.254.169.254", 80]),
            json!(["the internet", "1.1.1.1", 443]),
            json!(["the internet by IPv6", "2606:4700:4700::1111", 443]),
        ];
        // Pods, services, the API server, Postgres: where there is a cluster, it says so. NAME=HOST:PORT,…
        for target in std::env::var("BREAKOUT_TARGETS").unwrap_or_default().split(',') {
            if let Some((label, (host, port))) =
                target.split_once('=').and_then(|(label, address)| Some((label, address.rsplit_once(':')?)))
            {
                tcp.push(json!([label, host, port.parse::<u16>().unwrap()]));
            }
        }
        json!({
            "own": {
                "id": look("{{.Id}}", &own_name), "name": own_name, "image": "operator-breakout-own:dev",
                "image_id": look("{{.Image}}", &own_name), "network": own.networks[0], "project": own.name,
            },
            "own_network2": own.networks[1],
            "foreign": {
                "id": look("{{.Id}}", &db), "name": db, "image": "operator-breakout-foreign:dev",
                "image_id": look("{{.Image}}", &db), "network": foreign.networks[0],
                "network_id": look("{{.Id}}", &foreign.networks[0]), "volume": format!("{}_data", foreign.name),
                "exec": self.exec, "project": foreign.name, "address": address, "secret": self.secret,
                "guest_id": look("{{.Id}}", &guest), "guest_name": guest,
            },
            "host_equal": {
                "running": look("{{.Id}}", &host), "stopped": look("{{.Id}}", &format!("{}-stopped-1", own.name)),
            },
            "host_file": [self.secret_file.path(), format!("{}-of-the-host", self.secret)],
            "engine_id": docker(&["info", "-f", "{{.ID}}"]),
            "net": {
                "gateways": gateways, "hosts": hosts, "hosts6": hosts6, "tcp_port": self.listeners.tcp,
                "udp_port": self.listeners.udp, "tcp": tcp, "udp": [["the internet", "1.1.1.1", 53]],
                "foreign": [address], "foreign_port": 8000, "foreign_names": [db],
            },
            "controls": [[own_name, 8000]],
        })
    }

    /// What the two projects are: nothing of it may change.
    pub fn state(&self) -> String {
        let mut state = String::new();
        for project in [&self.own, &self.foreign] {
            let label = format!("label=com.docker.compose.project={}", project.name);
            for id in lines(&docker(&["ps", "-aq", "--no-trunc", "--filter", &label])) {
                let format = "{{.Name}} {{.State.Status}} {{.State.StartedAt}} {{.HostConfig.CpuShares}} \
                              {{range $name, $end := .NetworkSettings.Networks}}{{$name}} {{end}}";
                let _ = writeln!(state, "{}", docker(&["inspect", "-f", format, &id]));
            }
            state += &docker(&["volume", "ls", "-q", "--filter", &label]);
            state += &docker(&["network", "ls", "-q", "--filter", &label]);
        }
        state
    }

    /// A container that plays the agent's, where there is no sandbox. Its id.
    pub fn companion(&self) -> String {
        let more = ["--network", &self.own.networks[0], "operator-agent:dev", "900"];
        container(&["run", "-d", "--entrypoint", "sleep"], &self.foreign, "companion", &more)
    }

    /// Runs the program as root with the engine's own socket; what it wrote.
    pub async fn over_the_bare_socket(&self, config: &Value, program: &str) -> String {
        let mut run = Command::new("docker");
        let name = format!("{}-bare-1", self.foreign.name);
        let label = format!("com.docker.compose.project={}", self.foreign.name);
        run.args(["run", "--rm", "-i", "--user", "0", "--name", &name, "--label", &label])
            .args(["--network", &self.own.networks[0], "-v", "/var/run/docker.sock:/var/run/docker.sock"])
            .args(["-e", "BREAKOUT", "--entrypoint", "python3", "operator-agent:dev", "-"])
            .env("BREAKOUT", config.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let program = program.to_owned();
        let done = tokio::task::spawn_blocking(move || {
            let mut child = run.spawn().unwrap();
            child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        });
        let done = done.await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// What an attempt made and did not take away.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = lines(&docker(&["network", "ls", "-q", "--filter", "name=breakout"]));
        left.extend(lines(&docker(&["volume", "ls", "-q", "--filter", "name=breakout"])));
        left.extend(lines(&docker(&["ps", "-aq", "--filter", "name=breakout"])));
        left.extend(lines(&docker(&["images", "-q", "breakout-scratch"])));
        left.extend(
            lines(&docker(&["images", "-q", "--no-trunc", "--filter", "label=breakout=1"]))
                .into_iter()
                .filter(|image| !self.images_before.contains(image)),
        );
        left
    }
}
