//! A throwaway subject and a small image on the real engine.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![allow(unreachable_pub)]

use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use controller::sandbox::docker::DockerProvider;
use controller::sandbox::stream::Patience;
use controller::sandbox::{Access, ContainerLimits, SandboxRequest};
use controller::session::SessionId;

pub const HOST: &str = "unix:///var/run/docker.sock";

/// Runs Docker's client; a failure is the test's.
pub fn docker(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } =
        Command::new("docker").args(arguments).output().expect("these tests need Docker's client (`docker`)");
    assert!(status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).trim().to_owned()
}

/// The image: Debian and this binary. Made once a run, and kept for the next.
pub fn image() -> &'static str {
    static IMAGE: OnceLock<()> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let there = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
        assert!(
            there.is_ok_and(|output| output.status.success()),
            "these tests need a Docker engine at {HOST}; `make test` starts one"
        );
        let lines = "FROM debian:trixie-slim\n\
            RUN useradd --uid 1000 --create-home --home-dir /home/agent agent && mkdir /work\n\
            COPY operator /usr/local/bin/operator\n";
        build("operator-agent-test:sandbox", lines);
    });
    "operator-agent-test:sandbox"
}

/// The image that walls are set from: the operator's own, with this binary. Its packages come out of the engine's
/// cache where the real image was built.
pub fn operator_image() -> &'static str {
    static IMAGE: OnceLock<()> = OnceLock::new();
    IMAGE.get_or_init(|| build("operator-test:sandbox", include_str!("../../../images/operator/Dockerfile")));
    "operator-test:sandbox"
}

/// Builds an image of these lines and this binary.
pub fn build(name: &str, lines: &str) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_operator"), dir.path().join("operator")).unwrap();
    std::fs::write(dir.path().join("Dockerfile"), lines).unwrap();
    let mut build = Command::new("docker");
    build.env("DOCKER_BUILDKIT", "0").args(["build", "-q", "-t", name]).arg(dir.path());
    let done = build.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The host's address on a network. An engine that was started for the first time does not list the default bridge's
/// gateway: it is the first of the subnet.
#[allow(dead_code)] // not every test asks
pub fn first_address(network: &str) -> String {
    let subnet = docker(&["network", "inspect", network, "-f", "{{(index .IPAM.Config 0).Subnet}}"]);
    let subnet: ipnet::IpNet = subnet.parse().unwrap();
    subnet.hosts().next().unwrap().to_string()
}

/// A compose-like project with two networks and one running container, and an installation.
pub struct Project {
    pub name: String,
    pub networks: [String; 2],
    pub installation: String,
}

impl Project {
    /// One of which nothing is there yet.
    pub fn new() -> Self {
        let name = format!("optest{:08x}", rand::random::<u32>());
        let networks = ["front", "back"].map(|network| format!("{name}_{network}"));
        let installation = format!("test-{name}");
        Self { name, networks, installation }
    }

    pub fn up() -> Self {
        let image = image();
        let project = Self::new();
        let Self { name, networks, .. } = &project;
        let label = format!("com.docker.compose.project={name}");
        for network in networks {
            docker(&["network", "create", "--label", &label, network]);
        }
        let container = project.container();
        docker(&[
            "run",
            "-d",
            "--name",
            &container,
            "--label",
            &label,
            "--network",
            &networks[0],
            "--network-alias",
            "web",
            "--init",
            image,
            "sleep",
            "600",
        ]);
        project
    }

    pub fn container(&self) -> String {
        format!("{}-web-1", self.name)
    }

    pub fn provider(&self) -> DockerProvider {
        let patience = Patience { hello: Duration::from_mins(1), ..Patience::default() };
        let provider = DockerProvider::connect(HOST, &self.installation).unwrap();
        provider.with_patience(patience).with_operator_image(operator_image())
    }

    pub fn request(&self) -> SandboxRequest {
        SandboxRequest {
            session: SessionId::new(jiff::Timestamp::now()),
            subject: "default/shop".into(),
            project: self.name.clone(),
            image: image().into(),
            limits: ContainerLimits { memory_bytes: 256 << 20, cpu_millis: 1000, pids: 128 },
            access: Access::default(),
            egress: Vec::new(),
            wall_limit: Duration::from_mins(10),
        }
    }

    /// Ids of containers and names of volumes of the installation, once what set walls is cleared away: the engine
    /// does that by itself.
    pub fn standing(&self) -> Vec<String> {
        let filter = format!("label=operator.dev/installation={}", self.installation);
        let list = |filters: &[&str]| {
            let filters = filters.iter().flat_map(|filter| ["--filter", filter]);
            docker(&["ps", "-aq"].into_iter().chain(filters).collect::<Vec<_>>())
        };
        for _ in 0..300 {
            if list(&[&filter]) == list(&[&filter, "label=operator.dev/role"]) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let containers = list(&[&filter]);
        let volumes = docker(&["volume", "ls", "-q", "--filter", &filter]);
        containers.lines().chain(volumes.lines()).map(str::to_owned).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let quietly = |arguments: &[&str]| {
            let _ = Command::new("docker").args(arguments).output();
        };
        for filter in [
            format!("label=operator.dev/installation={}", self.installation),
            format!("label=com.docker.compose.project={}", self.name),
        ] {
            let list = Command::new("docker").args(["ps", "-aq", "--filter", &filter]).output();
            for id in
                list.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default().lines()
            {
                quietly(&["rm", "-fv", id]);
            }
            let list = Command::new("docker").args(["volume", "ls", "-q", "--filter", &filter]).output();
            for id in
                list.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default().lines()
            {
                quietly(&["volume", "rm", "-f", id]);
            }
        }
        for network in &self.networks {
            quietly(&["network", "rm", network]);
        }
    }
}
