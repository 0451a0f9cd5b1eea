//! A Subject that is watched, and what the monitor makes of it.

use std::process::Command;
use std::time::{Duration, Instant};

use crds::condition::find;
use crds::{Incident, Subject};
use kube::api::{DeleteParams, ListParams};
use operator_tests::{Cluster, TempNamespace, condition, operator, phase, root, run, wait_until};
use serde_json::{Value, json};

/// How long something may take that is only a matter of seconds.
pub(crate) const SOON: Duration = Duration::from_mins(2);
/// How long an Incident may take to its end.
pub(crate) const END: Duration = Duration::from_mins(4);

/// One of the folders in `subjects/`, watched under a name of its own.
pub(crate) struct Watched {
    pub(crate) namespace: TempNamespace,
    folder: &'static str,
    name: &'static str,
}

impl Watched {
    /// The system is put right, watched, and all holds. `policy` is merged into the Subject's.
    pub(crate) async fn begin(folder: &'static str, name: &'static str, policy: Value) -> Self {
        let namespace = Cluster::connect().await.namespace(name).await;
        let watched = Self { namespace, folder, name };
        watched.fault("heal");
        let mut spec = spec(folder);
        merge(&mut spec, json!({"policy": {"cooldown": "0s", "verification": {"stabilization": "5s"}}}));
        merge(&mut spec, json!({"policy": policy}));
        watched.namespace.create::<Subject>(name, &spec).await.unwrap();
        watched.until_healthy().await;
        watched
    }

    /// Runs the folder's `fault`.
    pub(crate) fn fault(&self, what: &str) -> String {
        run(root().join("subjects").join(self.folder).join("fault").to_str().unwrap(), &[what])
    }

    /// Waits until the load flows again.
    pub(crate) async fn until_it_flows(&self) {
        let fault = root().join("subjects").join(self.folder).join("fault");
        wait_until("the load flows", SOON, || async {
            Command::new(&fault).arg("status").output().unwrap().status.success()
        })
        .await;
    }

    pub(crate) async fn subject(&self) -> Subject {
        self.namespace.api::<Subject>().get(self.name).await.unwrap()
    }

    pub(crate) async fn until_healthy(&self) -> Subject {
        self.until("healthy", |subject| subject_condition(subject, "Healthy") == "True AllHold").await
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Subject) -> bool) -> Subject {
        let begun = Instant::now();
        loop {
            let subject = self.subject().await;
            if holds(&subject) {
                return subject;
            }
            if begun.elapsed() > SOON {
                let events = self.namespace.events().await.join("\n  ");
                panic!("{what}: {:#?}\nEvents:\n  {events}", subject.status);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// All Incidents, in the order in which they were opened.
    pub(crate) async fn incidents(&self) -> Vec<Incident> {
        let mut all = self.namespace.api::<Incident>().list(&ListParams::default()).await.unwrap().items;
        all.sort_by_key(|incident| (incident.metadata.creation_timestamp.clone(), incident.metadata.name.clone()));
        all
    }

    /// Waits for the Incident that is opened next, and to its end. It is the only one that is not in `before`.
    pub(crate) async fn one_more(&self, before: usize) -> Incident {
        let begun = Instant::now();
        let opened = loop {
            let all = self.incidents().await;
            if all.len() > before {
                break all;
            }
            assert!(begun.elapsed() < SOON, "nothing was opened: {:#?}", self.subject().await.status);
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let name = opened.last().unwrap().metadata.name.clone().unwrap();
        let is_over = |incident: &Incident| condition(incident, "Finished").0 == "True";
        let ended = self.namespace.wait(&name, "finished", END, is_over).await;
        assert_eq!(self.incidents().await.len(), before + 1, "exactly one");
        let evidence = &ended.spec.evidence;
        assert!(!evidence.is_empty() && evidence.iter().all(|one| one.observed_at.is_some()), "{evidence:?}");
        ended
    }

    /// A fault that an agent repairs, with nobody typing.
    pub(crate) async fn is_repaired(&self, fault: &str, invariant: &str) -> Incident {
        let before = self.incidents().await.len();
        self.fault(fault);
        let ended = self.one_more(before).await;
        assert_eq!(phase(&ended), "Resolved", "{fault}: {:#?}\n{}", ended.status, trail(&ended));
        assert_eq!(condition(&ended, "Verified").0, "True", "{:#?}", ended.status);
        let origin = ended.spec.origin.as_ref().unwrap();
        assert!(origin.violated.iter().any(|violated| violated.invariant == invariant), "{fault}: {origin:?}");
        self.until_healthy().await;
        self.until_it_flows().await;
        ended
    }

    /// A fault that an agent says it repaired, and did not.
    pub(crate) async fn is_refuted(&self, fault: &str) -> Incident {
        let before = self.incidents().await.len();
        self.fault(fault);
        let ended = self.one_more(before).await;
        assert_eq!(phase(&ended), "Escalated", "{fault}: {:#?}\n{}", ended.status, trail(&ended));
        assert_eq!(condition(&ended, "Verified").0, "False", "{:#?}", ended.status);
        ended
    }

    /// What the subject's observer is called; none if there is none.
    pub(crate) fn observers(&self) -> Vec<String> {
        let subject = format!("label=operator.dev/subject={}/{}", self.namespace.name, self.name);
        let role = "label=operator.dev/role=observer";
        let names = run("docker", &["ps", "--filter", &subject, "--filter", role, "--format", "{{.Names}}"]);
        names.lines().map(str::to_owned).collect()
    }

    /// The Subject goes and its observer with it; the system is put right.
    pub(crate) async fn end(self) {
        self.namespace.api::<Subject>().delete(self.name, &DeleteParams::default()).await.unwrap();
        wait_until("the observer is gone", SOON, || async { self.observers().is_empty() }).await;
        self.fault("heal");
        self.namespace.remove().await;
    }
}

/// The status of a Subject's condition and its reason.
pub(crate) fn subject_condition(subject: &Subject, type_: &str) -> String {
    let conditions = subject.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    find(conditions, type_).map(|one| format!("{} {}", one.status, one.reason)).unwrap_or_default()
}

/// Why a session ended as it did, in a word: what stands first in the message of `Finished`.
pub(crate) fn reason(incident: &Incident) -> String {
    let conditions = incident.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let message = find(conditions, "Finished").map(|one| one.message.clone()).unwrap_or_default();
    message.split(':').next().unwrap_or_default().to_owned()
}

/// An Incident's trail as text.
pub(crate) fn trail(incident: &Incident) -> String {
    incident
        .status
        .as_ref()
        .and_then(|status| status.session_id.as_deref())
        .map_or_else(|| "no session".to_owned(), |session| operator(&["audit", "show", session]))
}

/// The spec in a folder's `subject.yaml`.
fn spec(folder: &str) -> Value {
    let file = root().join("subjects").join(folder).join("subject.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let mut subject: Value = serde_saphyr::from_str(&text).unwrap();
    subject["spec"].take()
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, from) => *into = from,
    }
}
