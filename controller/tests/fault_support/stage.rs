//! A compose-like project of two services that answer over HTTP, and plans for it.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![allow(unreachable_pub)]

use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use controller::fault::{Done, Error, Faults as _, Key, Outcome, Phase, Plan, plan};
use controller::sandbox::docker::DockerProvider;
use crds::fault::Action;
use kube::core::cel::cel::Value;

use crate::engine::{HOST, build, docker};

/// No test waits longer for anything; a slow machine is no failure before.
const PATIENCE: Duration = Duration::from_mins(2);

/// Says each request's first line, and answers 200, or 404 to `/none`.
const SERVER: &str = r#"$|=1; $s=IO::Socket::INET->new(LocalPort=>8080,Listen=>9,ReuseAddr=>1) or die;
while($c=$s->accept){ $first=<$c>; print $first if $first; while(<$c>){last if /^\r?$/}
$code=($first=~m{/none}) ? "404 No" : "200 OK";
print $c "HTTP/1.1 $code\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"; close $c }"#;

/// An image as compose builds one: with compose's labels on it.
pub fn service_image() -> &'static str {
    static IMAGE: OnceLock<()> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let lines = "FROM debian:trixie-slim\n\
            LABEL com.docker.compose.project=inherited com.docker.compose.service=web\n\
            VOLUME /var/lib/shop\n";
        build("operator-fault-test:service", lines);
    });
    "operator-fault-test:service"
}

/// The operator's own image with this binary: not that of the sandbox's tests, which may run at the same time.
fn operator_image() -> &'static str {
    static IMAGE: OnceLock<()> = OnceLock::new();
    IMAGE.get_or_init(|| build("operator-fault-test:operator", include_str!("../../../images/operator/Dockerfile")));
    "operator-fault-test:operator"
}

pub struct Stage {
    pub project: String,
    pub installation: String,
    pub faults: DockerProvider,
}

impl Stage {
    /// Two networks; `web` with a volume and half a MiB of tmpfs, and `db`, on both.
    pub fn up() -> Self {
        let image = service_image();
        let project = format!("opfault{:08x}", rand::random::<u32>());
        let label = format!("com.docker.compose.project={project}");
        for network in ["front", "back"] {
            docker(&["network", "create", "--label", &label, &format!("{project}_{network}")]);
        }
        docker(&["volume", "create", "--label", &label, &format!("{project}_data")]);
        for service in ["web", "db"] {
            let (name, front) = (format!("{project}-{service}-1"), format!("{project}_front"));
            let (service_label, volume) =
                (format!("com.docker.compose.service={service}"), format!("{project}_data:/var/lib/shop"));
            let mut run = vec!["run", "-d", "--init", "--name", &name, "--label", &label, "--label", &service_label];
            run.extend(["--label", "com.docker.compose.container-number=1", "--network", &front]);
            run.extend(["--network-alias", service]);
            if service == "web" {
                run.extend(["-v", &volume, "--tmpfs", "/small:size=524288"]);
            }
            run.extend([image, "perl", "-MIO::Socket::INET", "-e", SERVER]);
            docker(&run);
            docker(&["network", "connect", "--alias", service, &format!("{project}_back"), &name]);
        }
        let installation = format!("test-{project}");
        let faults = DockerProvider::connect(HOST, &installation).unwrap().with_operator_image(operator_image());
        let stage = Self { project, installation, faults };
        until("both services", || stage.reaches("web", "db") && stage.reaches("db", "web"));
        stage
    }

    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.project)
    }

    /// Whether one service gets a connection to the other.
    pub fn reaches(&self, from: &str, to: &str) -> bool {
        let script = format!("exec 3<>/dev/tcp/{to}/8080 && printf 'GET /reach HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3");
        let container = self.container(from);
        let done = Command::new("docker").args(["exec", &container, "timeout", "2", "bash", "-c", &script]).output();
        done.unwrap().status.success()
    }

    /// How many requests for this path a service has seen.
    pub fn requests(&self, service: &str, path: &str) -> usize {
        let log = docker(&["logs", &self.container(service)]);
        log.lines().filter(|line| line.contains(&format!(" {path} "))).count()
    }

    pub fn inspect(&self, service: &str, format: &str) -> String {
        docker(&["inspect", "-f", format, &self.container(service)])
    }

    pub fn key(&self, index: usize) -> Key {
        Key {
            subject: "default/shop".into(),
            project: self.project.clone(),
            demo: "shop".into(),
            chapter: "chaos".into(),
            entered: 1,
            phase: Phase::Act,
            index,
            epoch: 1,
        }
    }

    pub async fn plan(&self, action: serde_json::Value) -> Plan {
        let action: Action = serde_json::from_value(action).unwrap();
        let view = self.faults.look(&self.project).await.unwrap();
        plan(&action, &view, &Value::Null, 1).unwrap()
    }

    /// Plans and does it.
    pub async fn act(&self, index: usize, action: serde_json::Value) -> (Plan, Result<Done, Error>) {
        let plan = self.plan(action).await;
        let done = self.faults.act(&self.key(index), &plan).await;
        (plan, done)
    }

    pub async fn outcome(&self, index: usize, plan: &Plan) -> Outcome {
        self.faults.outcome(&self.key(index), plan).await.unwrap()
    }

    pub async fn undo(&self, index: usize, plan: &Plan) {
        self.faults.undo(&self.key(index), plan).await.unwrap();
    }

    /// Names of this installation's containers.
    pub fn helpers(&self) -> Vec<String> {
        let filter = format!("label=operator.dev/installation={}", self.installation);
        let listed = docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
        listed.lines().map(str::to_owned).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let listed = |arguments: &[&str]| {
            let output = Command::new("docker").args(arguments).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        let ours = format!("label=operator.dev/installation={}", self.installation);
        let theirs = format!("label=com.docker.compose.project={}", self.project);
        for filter in [&ours, &theirs] {
            for id in listed(&["ps", "-aq", "--filter", filter]).lines() {
                listed(&["rm", "-fv", id]);
            }
        }
        for (what, filter) in [("volume", &theirs), ("network", &theirs)] {
            for id in listed(&[what, "ls", "-q", "--filter", filter]).lines() {
                listed(&[what, "rm", id]);
            }
        }
    }
}

/// Waits for a condition.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The words of what failed.
pub fn failed(done: Result<Done, Error>) -> String {
    match done {
        Err(Error::Failed(why)) => why,
        other => panic!("{other:?}"),
    }
}
