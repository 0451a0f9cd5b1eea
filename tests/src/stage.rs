//! All that a controller needs, of a test's own, with a [`Gate`] before each part: a database, the engine, the model,
//! the API server; and a subject that counts.
//!
//! The controllers are processes on this machine. The controller that is installed in the cluster leaves the stage's
//! objects alone, because they carry the label of another installation.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use controller::audit::testing::{TestDatabase, TestServer};
use crds::Subject;
use crds::condition::find;
use kube::api::{Patch, PatchParams};
use offline_model::{Handle, Options, ScriptSet, Server};
use serde_json::{Value, json};

use crate::counter::{Counter, docker, script};
use crate::gate::{Gate, To, postgres, scan};
use crate::process::Controller;
use crate::{Cluster, TempNamespace};

/// The engine's own socket.
const ENGINE: &str = "/var/run/docker.sock";
/// The label of what the stage itself makes on the engine.
const STAGE: &str = "operator.dev/stage";
/// The model that plays [`script`].
pub const MODEL: &str = "offline-counter";

/// One stage. What it made goes when it is dropped, and when the test's process dies.
pub struct Stage {
    /// The installation's name, which is also that of its subjects.
    pub name: String,
    /// What stands on everything that its controllers make on the engine.
    pub installation: String,
    /// Its namespace.
    pub namespace: TempNamespace,
    /// Its database server.
    pub server: TestServer,
    /// Its database.
    pub database: TestDatabase,
    /// Its subjects; the first is called `counter-0`.
    pub counters: Vec<Counter>,
    /// Its model.
    pub model: Handle,
    /// The way to the database.
    pub to_database: Gate,
    /// What is held on it.
    pub calls: postgres::Rules,
    /// The way to the engine.
    pub to_engine: Gate,
    /// What is held on it.
    pub engine: scan::Rules,
    /// The way to the model.
    pub to_model: Gate,
    /// What is held on it.
    pub answers: scan::Rules,
    /// The way to the API server.
    pub to_cluster: Gate,
    variables: Vec<(String, String)>,
    directory: tempfile::TempDir,
    cleaner: Child,
}

impl Stage {
    /// Sets it up, with so many subjects.
    ///
    /// # Panics
    /// When something that it needs is not there; the sentence says what.
    pub async fn set(what: &str, subjects: usize) -> Self {
        Self::set_with(what, subjects, |_| Vec::new()).await
    }

    /// The same, with further scripts for the model, by their names, made for the first subject's container.
    ///
    /// # Panics
    /// When something that it needs is not there; the sentence says what.
    pub async fn set_with(what: &str, subjects: usize, more: impl Fn(&str) -> Vec<(String, String)>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let name = format!("{what}{:08x}", rand::random::<u32>());
        let directory = tempfile::Builder::new().prefix(&name).tempdir().expect("a directory for temporary files");
        let (server, database) = tokio::task::spawn_blocking(|| {
            let server = TestServer::start();
            let database = tokio::runtime::Handle::current().block_on(server.unled_database());
            (server, database)
        })
        .await
        .expect("a database server");
        let id = database.store().installation_id().await.expect("the installation's id");
        let installation = format!("{name}-{id}");
        let cleaner = start_cleaner(directory.path(), &installation, &name);

        let label = format!("{STAGE}={name}");
        let mut counters = Vec::new();
        let mut scripts = ScriptSet::new();
        for index in 0..subjects {
            let counter = Counter::up(&format!("{name}-{index}"), &label).await;
            let model = if index == 0 { "counter".to_owned() } else { format!("counter-{index}") };
            scripts = scripts.with(&model, &script(&counter.container())).expect("the script");
            counters.push(counter);
        }
        for (model, script) in more(&counters[0].container()) {
            scripts = scripts.with(&model, &script).expect("the script");
        }
        let model = Server::start(scripts, Options::default()).await.expect("the offline model");

        let namespace = Cluster::connect().await.namespace(what).await.of_installation(&name);
        for (index, counter) in counters.iter().enumerate() {
            namespace.subject(&format!("counter-{index}"), &counter.project).await;
        }

        let calls = postgres::Rules::default();
        let rules = calls.clone();
        let place = host(&database.url);
        let to_database = Gate::tcp(To::Tcp(place.clone()), move || rules.inspectors()).await;
        let (engine, answers) = (scan::Rules::default(), scan::Rules::default());
        let rules = engine.clone();
        let socket = directory.path().join("engine.sock");
        let to_engine = Gate::unix(&socket, To::Unix(ENGINE.into()), move || rules.inspectors());
        let rules = answers.clone();
        let to_model = Gate::tcp(To::Tcp(model.addr().to_string()), move || rules.inspectors()).await;
        let (to_cluster, kubeconfig) = way_to_cluster(directory.path()).await;

        let image = |variable: &str, usual: &str| std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
        let variables = [
            ("DATABASE_URL", database.url.replace(&place, to_database.address())),
            ("OPERATOR_SIGNING_KEY", database.key.display().to_string()),
            ("DOCKER_HOST", format!("unix://{}", to_engine.address())),
            ("OPERATOR_ENGINE_SOCKET", ENGINE.to_owned()),
            ("ANTHROPIC_API_KEY", "offline".to_owned()),
            ("ANTHROPIC_BASE_URL", format!("http://{}", to_model.address())),
            ("KUBECONFIG", kubeconfig.display().to_string()),
            ("OPERATOR_MODEL", MODEL.to_owned()),
            ("OPERATOR_SUMMARY_MODEL", String::new()),
            ("OPERATOR_AGENT_IMAGE", image("OPERATOR_AGENT_IMAGE", "operator-agent:dev")),
            ("OPERATOR_IMAGE", image("OPERATOR_IMAGE", "operator:dev")),
            ("OPERATOR_INSTALLATION", name.clone()),
            ("OPERATOR_NAMESPACES", namespace.name.clone()),
            ("RUST_LOG", "info,controller=debug".to_owned()),
        ];
        let variables = variables.map(|(variable, value)| (variable.to_owned(), value)).to_vec();
        Self {
            name,
            installation,
            namespace,
            server,
            database,
            counters,
            model,
            to_database,
            calls,
            to_engine,
            engine,
            to_model,
            answers,
            to_cluster,
            variables,
            directory,
            cleaner,
        }
    }

    /// Starts a controller; `name` is that of its log.
    #[must_use]
    pub fn controller(&self, name: &str) -> Controller {
        self.controller_with(name, &[])
    }

    /// The same, with further variables.
    #[must_use]
    pub fn controller_with(&self, name: &str, more: &[(&str, &str)]) -> Controller {
        let more = more.iter().map(|(variable, value)| ((*variable).to_owned(), (*value).to_owned()));
        let variables: Vec<_> = self.variables.iter().cloned().chain(more).collect();
        Controller::start(self.directory.path(), name, &variables)
    }

    /// From now on the first subject is watched: its container has to run, and an Incident is over only when that was
    /// seen for two seconds.
    ///
    /// # Errors
    /// When that is not taken, or not seen to hold in time.
    pub async fn watch(&self) -> Result<(), String> {
        let patch = Patch::Merge(json!({"spec": {
            "probes": [{"name": "containers", "interval": "1s", "docker": {}}],
            "invariants": [{"name": "stopped", "forEach": "probes.containers.value",
                            "violated": "item.state != 'running'", "message": "{{ key }} is {{ item.state }}"}],
            "policy": {"verification": {"stabilization": "2s"}},
        }}));
        let subjects = self.namespace.api::<Subject>();
        let name = "counter-0";
        subjects.patch(name, &PatchParams::default(), &patch).await.map_err(|error| error.to_string())?;
        let begun = Instant::now();
        loop {
            let subject = subjects.get(name).await.map_err(|error| error.to_string())?;
            let conditions = subject.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            if find(conditions, "Healthy").is_some_and(|healthy| healthy.status == "True") {
                return Ok(());
            }
            if begun.elapsed() > LONG {
                return Err(format!("the subject is not seen to be healthy: {:#?}", subject.status));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Applies an Incident whose commands leave tokens that begin with `row`.
    pub async fn apply(&self, row: &str, subject: usize, mut more: Value) {
        more["title"] = format!("The stage's {row}").into();
        if subject > 0 {
            more["agent"] = json!({"model": format!("{MODEL}-{subject}")});
        }
        self.namespace.incident(row, &format!("counter-{subject}"), more).await;
    }

    /// Forgets every hold that was not caught, and opens every gate.
    pub fn calm(&self) {
        self.calls.forget();
        self.engine.forget();
        self.answers.forget();
        for gate in [&self.to_database, &self.to_engine, &self.to_model, &self.to_cluster] {
            gate.open();
        }
    }

    /// Containers and volumes on the engine that its controllers made, by name.
    pub async fn left_on_engine(&self) -> Vec<String> {
        let filter = format!("label=operator.dev/installation={}", self.installation);
        let containers = docker(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]).await;
        let volumes = docker(&["volume", "ls", "--filter", &filter, "--format", "{{.Name}}"]).await;
        containers.lines().chain(volumes.lines()).map(str::to_owned).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.cleaner.stdin.take());
        let _ = self.cleaner.wait();
    }
}

/// `host:port` of a URL.
fn host(url: &str) -> String {
    let rest = url.rsplit('@').next().unwrap_or_default();
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// A gate before the API server, and a kubeconfig that leads through it.
///
/// # Panics
/// When there is no kubeconfig, or it leads nowhere.
pub async fn way_to_cluster(directory: &std::path::Path) -> (Gate, PathBuf) {
    let mut config = kube::config::Kubeconfig::read().expect("KUBECONFIG");
    let current = config.current_context.clone().expect("a current context");
    let context = config.contexts.iter().find(|context| context.name == current).expect("the current context");
    let name = context.context.as_ref().expect("the current context").cluster.clone();
    let cluster = config.clusters.iter_mut().find(|cluster| cluster.name == name).expect("the context's cluster");
    let cluster = cluster.cluster.as_mut().expect("the context's cluster");
    let server = cluster.server.clone().expect("the cluster's server");
    let place = server.strip_prefix("https://").expect("a server with TLS").trim_end_matches('/').to_owned();
    let gate = Gate::tcp(To::Tcp(place.clone()), || scan::Rules::default().inspectors()).await;
    let host = place.rsplit_once(':').map_or(place.as_str(), |(host, _)| host);
    if host != "127.0.0.1" {
        cluster.tls_server_name.get_or_insert_with(|| host.to_owned());
    }
    cluster.server = Some(format!("https://{}", gate.address()));
    let path = directory.join("kubeconfig");
    let mut file = std::fs::File::create(&path).expect("a file for the kubeconfig");
    file.write_all(serde_saphyr::to_string(&config).expect("the kubeconfig").as_bytes()).expect("the kubeconfig");
    (gate, path)
}

/// Reads from this process until it is gone, by whatever death, then kills what still runs and removes what was made.
fn start_cleaner(directory: &std::path::Path, installation: &str, name: &str) -> Child {
    let script = r#"trap '' INT TERM HUP; cat >/dev/null
        for file in "$1"/*.pid; do [ ! -e "$file" ] || kill -9 "$(cat "$file")" 2>/dev/null; done
        for label in "operator.dev/installation=$2" "operator.dev/stage=$3"; do
          docker ps -aq --filter "label=$label" | xargs -r docker rm -fv
          docker volume ls -q --filter "label=$label" | xargs -r docker volume rm -f
          docker network ls -q --filter "label=$label" | xargs -r docker network rm
        done
        rm -rf "$1"
        "#;
    let mut cleaner = Command::new("/bin/sh");
    cleaner.args(["-c", script, "cleaner"]).arg(directory).args([installation, name]).current_dir("/");
    cleaner.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    cleaner.spawn().expect("/bin/sh")
}

/// How long something may take on a machine that does much else.
pub const LONG: Duration = Duration::from_mins(2);
