//! End-to-end tests on real parts: the cluster, the installed controller, Docker, Postgres.
//!
//! [`Cluster`] guards the context: these tests make and delete things, so they refuse to run against
//! anything but the project's own cluster. [`TempNamespace`] is a namespace of a test's own.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::panic, clippy::unwrap_used)]

pub mod checks;
pub mod counter;
pub mod demo;
pub mod gate;
pub mod picture;
pub mod process;
pub mod prometheus;
pub mod pty;
pub mod stage;
pub mod tmux;

use std::fmt::Debug;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crds::{Incident, Subject};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Contexts that belong to the project.
const OURS: [&str; 2] = ["operator-local", "kind-operator"];

/// The project's own cluster.
#[derive(Clone)]
pub struct Cluster {
    /// Its API server.
    pub client: Client,
}

impl Cluster {
    /// Connects, or says why these tests cannot run here.
    pub async fn connect() -> Self {
        let file = kube::config::Kubeconfig::read().expect("these tests need a cluster: run `make up`, set KUBECONFIG");
        let context = file.current_context.unwrap_or_default();
        assert!(OURS.contains(&context.as_str()), "refusing to test against the context {context:?}; only {OURS:?}");
        let client = Client::try_default().await.expect("the cluster's client");
        Self { client }
    }

    /// A fresh namespace, which goes when the test calls [`TempNamespace::remove`].
    pub async fn namespace(&self, test: &str) -> TempNamespace {
        let name = format!("e2e-{test}-{:04x}", rand::random::<u16>());
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"operator.dev/test": "true"}}
        }))
        .unwrap();
        Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        TempNamespace { client: self.client.clone(), name, installation: None }
    }
}

/// A test's own namespace.
pub struct TempNamespace {
    client: Client,
    /// Its name.
    pub name: String,
    installation: Option<String>,
}

impl TempNamespace {
    /// The same, but what is created in it is for this installation alone.
    #[must_use]
    pub fn of_installation(self, name: &str) -> Self {
        Self { installation: Some(name.to_owned()), ..self }
    }

    /// The resources of a kind in it.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Creates a Subject for a compose project.
    pub async fn subject(&self, name: &str, project: &str) {
        let subject = json!({"where": {"docker": {"project": project}}, "description": "A test's subject."});
        self.create::<Subject>(name, &subject).await.unwrap();
    }

    /// Creates an Incident with what is in `more` beside title and subject.
    pub async fn incident(&self, name: &str, subject: &str, more: Value) -> Incident {
        let mut spec = json!({"title": format!("e2e: {name}"), "subjectRef": {"name": subject}});
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            spec[key] = value;
        }
        self.create(name, &spec).await.unwrap()
    }

    /// Creates an object from its spec.
    pub async fn create<K>(&self, name: &str, spec: &Value) -> kube::Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let labels =
            self.installation.as_ref().map(|installation| json!({crds::names::LABEL_INSTALLATION: installation}));
        let object: K = serde_json::from_value(json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": {"name": name, "labels": labels}, "spec": spec,
        }))
        .unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await
    }

    /// Merges into an Incident's spec.
    pub async fn patch(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api::<Incident>().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until an Incident's status is as wanted; prints it and the namespace's Events if it never is.
    pub async fn wait(&self, name: &str, what: &str, limit: Duration, wanted: impl Fn(&Incident) -> bool) -> Incident {
        let begun = Instant::now();
        loop {
            let incident = self.api::<Incident>().get(name).await.unwrap();
            if wanted(&incident) {
                return incident;
            }
            if begun.elapsed() > limit {
                let events = self.events().await.join("\n  ");
                panic!("{name}: not {what} within {limit:?}\n{:#?}\nEvents:\n  {events}", incident.status);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The namespace's Events as `reason: note`.
    pub async fn events(&self) -> Vec<String> {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
        let line = |event: Event| format!("{}: {}", event.reason.unwrap_or_default(), event.note.unwrap_or_default());
        events.items.into_iter().map(line).collect()
    }

    /// Deletes it as far as that goes: finalizers are taken away, because nobody is there who serves them.
    pub async fn abandon(&self) {
        let incidents = self.api::<Incident>();
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        for incident in incidents.list(&ListParams::default()).await.unwrap() {
            let name = incident.metadata.name.unwrap_or_default();
            let _ = incidents.patch(&name, &PatchParams::default(), &patch).await;
        }
        let all: Api<Namespace> = Api::all(self.client.clone());
        let _ = all.delete(&self.name, &DeleteParams::default()).await;
    }

    /// Deletes it, and waits until its Incidents are gone.
    pub async fn remove(self) {
        let all: Api<Namespace> = Api::all(self.client.clone());
        all.delete(&self.name, &DeleteParams::default()).await.unwrap();
        wait_until("the namespace is gone", Duration::from_secs(90), || async {
            all.get_opt(&self.name).await.unwrap().is_none()
        })
        .await;
    }
}

/// The status of a condition, empty if it is not there, and its reason.
#[must_use]
pub fn condition(incident: &Incident, type_: &str) -> (String, String) {
    let conditions = incident.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    crds::condition::find(conditions, type_).map(|c| (c.status.clone(), c.reason.clone())).unwrap_or_default()
}

/// An Incident's phase as text.
#[must_use]
pub fn phase(incident: &Incident) -> &'static str {
    incident.status.as_ref().map_or("", |status| status.phase.as_str())
}

/// Waits until something holds.
pub async fn wait_until<F>(what: &str, limit: Duration, holds: impl Fn() -> F)
where
    F: Future<Output = bool>,
{
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The checkout.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[allow(clippy::must_use_candidate)] // often only the exit code matters
/// Runs a program to its end; its exit code must be 0. Says what it printed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

#[allow(clippy::must_use_candidate)] // as above
/// Runs the `operator` binary that the workspace built.
pub fn operator(arguments: &[&str]) -> String {
    run(process::binary().to_str().unwrap(), arguments)
}

#[allow(clippy::must_use_candidate)] // as above
/// Runs `kubectl` in the namespace in which Operator is installed.
pub fn kubectl(arguments: &[&str]) -> String {
    run("kubectl", &[&["--namespace", "operator-system"], arguments].concat())
}

/// Who leads, as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Raised each time that it changes hands.
    pub epoch: i64,
    /// The holder's pod; empty if the lease was given back.
    pub pod: String,
}

/// The lease, read in the chart's Postgres; none while that does not answer.
#[must_use]
pub fn lease() -> Option<Lease> {
    let psql = ["--namespace", "operator-system", "exec", "operator-postgres-0", "--", "psql", "-U", "operator_owner"];
    let query = ["-At", "-c", "SELECT epoch || ' ' || split_part(holder, '/', 1) FROM lease", "operator"];
    let output = Command::new("kubectl").args(psql).args(query).output().expect("kubectl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (epoch, pod) = text.trim_end_matches('\n').split_once(' ')?;
    Some(Lease { epoch: epoch.parse().ok()?, pod: pod.to_owned() })
}

/// The controller's process in a pod, on the machine on which the cluster's node runs; none if it has ended.
#[must_use]
pub fn controller_process(pod: &str) -> Option<u32> {
    let name = format!("HOSTNAME={pod}");
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let has = |file: &str, wanted: &[u8]| {
            let bytes = std::fs::read(entry.path().join(file)).unwrap_or_default();
            bytes.split(|byte| *byte == 0).any(|word| word == wanted)
        };
        (has("cmdline", b"run") && has("environ", name.as_bytes())).then_some(pid)
    })
}

/// Names of a session's agent and gateway: what sets the walls runs for a moment, and goes by itself.
#[must_use]
pub fn standing(session: &str) -> Vec<String> {
    containers_of(session).into_iter().filter(|name| !name.starts_with("operator-wall-")).collect()
}

/// Names of all the containers on the engine that a session made.
#[must_use]
pub fn containers_of(session: &str) -> Vec<String> {
    let filter = format!("label=operator.dev/session={session}");
    let names = run("docker", &["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]);
    names.lines().map(str::to_owned).collect()
}
